"""Traces on real Ray Serve: from the client's traceparent to every span, at a receiver of OTLP in this process."""

import http.server
import os
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llmpipeline.render.environment import tracing_variables
from llmpipeline_serve.contract.environment import OTLP_ENDPOINT
from support.local.asking import SMALL, Answer, ask, node
from support.local.http_service import serving_http, url_of
from support.local.otlp import Received, Receiver, receiving
from support.local.runner import Runner, as_in_pods, rendered, running, sample_apps
from support.pipelines import desired_of, pipeline

LATER = 3
"""Seconds in which a span that was to be sent would be: they go out every `OTEL_BSP_SCHEDULE_DELAY`."""
SERVICE_HEADERS = {"accept-encoding", "content-length", "content-type", "host", "accept", "user-agent"}


class _Service(http.server.BaseHTTPRequestHandler):
    """What an http node calls: it remembers the headers."""

    server: Any

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


class Called:
    def __init__(self, server: http.server.ThreadingHTTPServer) -> None:
        self.url = f"{url_of(server)}/"
        self.seen: list[dict[str, str]] = server.seen  # type: ignore[attr-defined]

    def by(self, request_id: str) -> dict[str, str]:
        """The headers of the one call that was made for a request."""
        (headers,) = [headers for headers in self.seen if headers.get("x-request-id") == request_id]
        return headers


@pytest.fixture(scope="module")
def service() -> Iterator[Called]:
    with serving_http(_Service) as server:
        server.seen = []  # type: ignore[attr-defined]
        yield Called(server)


def apps(service: Called) -> list[dict[str, Any]]:
    nodes = [
        node("first", function="echo"),
        node("left", "first", function="sleep"),
        node("right", "first", function="sleep"),
        node("falls", function="fail", fallback={"fallen": True}),
        node("never", when="request.never|default(false)", function="echo"),
        {"name": "call", "after": ["first"], "http": {"url": service.url}, "resources": SMALL},
    ]
    variants = [{"name": "the-hello", "app": "hello", "weight": 1}]
    return rendered(
        *sample_apps("hello"),
        {"name": "graph", "graph": {"nodes": nodes, "ingress": {"resources": SMALL}}},
        {"name": "split", "trafficSplit": {"variants": variants, "resources": SMALL}},
    )


def traced(endpoint: str, percent: int) -> dict[str, str]:
    """The variables of a traced pipeline's Pods; spans are sent sooner than after five seconds."""
    document = pipeline(monitoring={"tracing": {"endpoint": endpoint, "samplingPercent": percent}})
    return {**as_in_pods(), **tracing_variables(desired_of(document).pipeline), "OTEL_BSP_SCHEDULE_DELAY": "500"}


@contextmanager
def served(tmp: Path, service: Called, variables: dict[str, str], *more: dict[str, Any]) -> Iterator[Runner]:
    with running(tmp, *apps(service), *more, env=variables) as runner:
        yield runner


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory, service: Called, receiver: Receiver) -> Iterator[Runner]:
    generate = rendered(*sample_apps("generate"))
    with served(tmp_path_factory.mktemp("traced"), service, traced(receiver.url, 50), *generate) as started:
        yield started


class Client:
    """A client's side of a trace."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.trace, self.span, self.request_id = os.urandom(16).hex(), os.urandom(8).hex(), os.urandom(8).hex()
        flags = "01" if sampled else "00"
        self.traceparent = f"00-{self.trace}-{self.span}-{flags}"
        self.headers = {"traceparent": self.traceparent, "tracestate": "vendor=1", "X-Request-ID": self.request_id}

    def ask(self, url: str, body: Any = None) -> Answer:
        sent: Any = {"Authorization": "secret", "Cookie": "a=1", **self.headers}
        answer = ask(url, body or {"text": "hello", "fail": True}, **sent)
        assert answer.status == 200, answer.body
        return answer


def named(spans: list[Received], name: str) -> Received:
    (span,) = [span for span in spans if span.name == name]
    return span


def chain(spans: list[Received], name: str) -> list[str]:
    """The names from a span up to the one that has no parent here."""
    by_id, here = {span.span: span for span in spans}, named(spans, name)
    names = [here.name]
    while here.parent in by_id:
        here = by_id[here.parent]
        names.append(here.name)
    return names


# These two come first: each has a Ray of its own, and that of the others then starts once both have ended.


def test_nothing_is_sent_with_tracing_off(tmp_path: Path, service: Called, receiver: Receiver) -> None:
    before = len(receiver.spans)
    with served(tmp_path, service, {**as_in_pods(), OTLP_ENDPOINT: receiver.url}) as runner:
        client = Client()
        for app in ("graph", "split"):
            client.ask(f"{runner.url}/{app}")
        headers = service.by(client.request_id)
        assert (headers["traceparent"], headers["tracestate"]) == (client.traceparent, "vendor=1")
        assert headers.keys() - SERVICE_HEADERS == {"traceparent", "tracestate", "x-request-id"}
        time.sleep(LATER)
    assert receiver.spans[before:] == []


def test_a_receiver_that_does_not_answer_slows_nothing(tmp_path: Path, service: Called) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with served(tmp_path, service, traced(endpoint, 100)) as runner:
            seconds = []
            for _ in range(200):
                began = time.perf_counter()
                assert ask(f"{runner.url}/split").status == 200
                seconds.append(time.perf_counter() - began)
            began = time.perf_counter()
    print(f"median {statistics.median(seconds):.4f} s, longest {max(seconds):.3f} s")
    print(f"stopped in {time.perf_counter() - began:.1f} s")
    # An export has a limit of ten seconds.
    assert max(seconds) < 5


def test_a_graph_is_one_trace(runner: Runner, service: Called, receiver: Receiver) -> None:
    client = Client()
    client.ask(f"{runner.url}/graph")
    # The request, six nodes, their routes and handlings but of the skipped, and the call.
    spans = receiver.wait_for(client.trace, lambda spans: len(spans) >= 18)
    assert Counter(span.name for span in spans)["replica_handle_request Graph __call__"] == 1
    assert len(spans) == 18, sorted(span.name for span in spans)
    root = named(spans, "replica_handle_request Graph __call__")
    assert (root.parent, root.attributes["request_id"]) == (client.span, client.request_id)
    assert root.resource["service.name"] == "reviews"
    assert root.resource["k8s.namespace.name"] == "ml"
    assert root.resource["llmpipeline.pipeline"] == "reviews"
    outcomes = {span.name: span.attributes["llmpipeline.node.outcome"] for span in spans if span.name[:5] == "node "}
    ok = dict.fromkeys(("node first", "node left", "node right", "node call"), "ok")
    assert outcomes == ok | {"node falls": "fallback", "node never": "skipped"}
    assert {span.name for span in spans if span.failed} == {"node falls"}
    for name in ("first", "left", "right", "falls", "call"):
        handled = f"replica_handle_request {name} __call__"
        assert chain(spans, handled) == [handled, f"route_to_replica {name} __call__", f"node {name}", root.name]
        assert named(spans, handled).attributes["request_id"] == client.request_id
    called = named(spans, "POST 127.0.0.1")
    assert chain(spans, called.name)[1] == "replica_handle_request call __call__"
    assert called.attributes["http.response.status_code"] == 200
    headers = service.by(client.request_id)
    assert headers["traceparent"] == f"00-{client.trace}-{called.span}-01"
    assert headers["tracestate"] == "vendor=1"
    assert headers.keys() - SERVICE_HEADERS == {"traceparent", "tracestate", "x-request-id"}


def test_a_split_is_one_trace(runner: Runner, receiver: Receiver) -> None:
    client = Client()
    client.ask(f"{runner.url}/split")
    spans = receiver.wait_for(client.trace, lambda spans: len(spans) >= 3)
    hello, split = (f"replica_handle_request {name} __call__" for name in ("Hello", "TrafficSplit"))
    assert chain(spans, hello) == [hello, "variant the-hello", split]
    assert named(spans, split).parent == client.span
    assert {named(spans, name).attributes["request_id"] for name in (hello, split)} == {client.request_id}
    assert named(spans, "variant the-hello").attributes["http.response.status_code"] == 200


def test_an_engine_counts_its_tokens(runner: Runner, receiver: Receiver) -> None:
    client = Client()
    answer = client.ask(f"{runner.url}/generate", {"prompt": "Hello", "max_tokens": 4, "ignore_eos": True})
    (call,) = [
        span
        for span in receiver.wait_for(client.trace, lambda spans: len(spans) >= 2)
        if span.name.startswith("text_completion ")
    ]
    usage = answer.json["usage"]
    assert call.attributes["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert call.attributes["gen_ai.usage.output_tokens"] == 4
    assert call.attributes["gen_ai.request.max_tokens"] == 4
    assert call.attributes["gen_ai.provider.name"] == "vllm"
    assert 0 < call.attributes["gen_ai.response.time_to_first_chunk"] < 60
    assert not call.failed


def test_what_a_client_does_not_sample_is_not_traced(runner: Runner, service: Called, receiver: Receiver) -> None:
    before = len(receiver.spans)
    client = Client(sampled=False)
    for app in ("graph", "split"):
        client.ask(f"{runner.url}/{app}")
    assert service.by(client.request_id)["traceparent"] == client.traceparent
    time.sleep(LATER)
    assert receiver.spans[before:] == []


def test_a_share_is_of_whole_requests(runner: Runner, receiver: Receiver) -> None:
    before = len(receiver.spans)
    for _ in range(40):
        for app in ("graph", "split"):
            assert ask(f"{runner.url}/{app}", {"fail": True}).status == 200
    time.sleep(LATER)
    traces: dict[str, list[Received]] = {}
    for span in receiver.spans[before:]:
        traces.setdefault(span.trace, []).append(span)
    sizes = Counter(len(spans) for spans in traces.values())
    print(f"traces by their number of spans: {dict(sizes)}")
    assert sizes.keys() == {3, 18}, sizes
    # Of 80 half: outside of this only once in 100,000.
    assert 20 < len(traces) < 60, sizes
