"""A receiver of OTLP over HTTP in this process: what OpenTelemetry's collector is to the Ray Pods."""

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.local.http_service import serving_http, url_of

UNTIL_SENT_SECONDS = 30


@dataclass(frozen=True)
class Received:
    """One span."""

    name: str
    trace: str
    span: str
    parent: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    failed: bool


class Receiver:
    """What has come so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Received] = []

    def of(self, trace: str) -> list[Received]:
        """The spans of one trace."""
        return [span for span in list(self.spans) if span.trace == trace]

    def wait_for(self, trace: str, holds: Callable[[list[Received]], bool]) -> list[Received]:
        """The spans of a trace once they are as they should be; what there is of them if they never are."""
        deadline = time.monotonic() + UNTIL_SENT_SECONDS
        while not holds(self.of(trace)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return self.of(trace)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of the loopback."""
    with serving_http(_Handler) as server:
        server.receiver = receiver = Receiver(url_of(server))  # type: ignore[attr-defined]
        yield receiver


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces", self.path
        self.server.receiver.spans += _spans(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _spans(request: Any) -> Iterator[Received]:
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    attributes=_attributes(span.attributes),
                    resource=about,
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
