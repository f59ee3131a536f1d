"""Traces of requests by OpenTelemetry: what Ray Serve calls to export spans, and the spans that the apps add.

Off unless Serve calls `span_processors`, which the variables of `monitoring.tracing` have it do in every replica. Until
then nothing here imports OpenTelemetry, and a span costs one comparison.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

Pair = tuple[str, str]

REQUEST_ID: Final = "x-request-id"
TRACE_HEADERS: Final = ("traceparent", "tracestate")

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{1,64})?")
# Visible ASCII and, in what vendors put into tracestate, spaces: nothing else is sent to another service.
_VALUE: Final = re.compile(r"[ -~]{1,512}")
_NOTHING: Final = nullcontext()

# The tracer of our spans; None while tracing is off. OpenTelemetry is imported with it.
_tracer: Any = None
# Whether this process is asked by other replicas only.
_inner = False

logger = logging.getLogger("ray.serve")


def span_processors() -> list[Any]:
    """What Serve hands its spans to. Serve calls it in each replica before the first request."""
    global _tracer
    try:
        from llmpipeline_serve import trace_export
    except ImportError:
        logger.exception("nothing is traced: the image lacks opentelemetry-exporter-otlp-proto-http")
        return []
    trace_export.provide(inner=lambda: _inner)
    _tracer = trace_export.tracer()
    return [trace_export.processor()]


def is_inner() -> None:
    """Say that no request begins in this replica: one that comes without a trace was not sampled where it began."""
    global _inner
    _inner = True


def span(kind: str, what: str, *, client: bool = False) -> AbstractContextManager[None]:
    """A span around a part of a request's work, as the child of the span that runs; `client`: a call of a server.

    An exception ends it as an error, with the exception's type. Its message may quote a prompt, and is left out.
    """
    return _NOTHING if _tracer is None else _recorded(f"{kind} {what}", client)


def mark(attribute: str, value: str | int) -> None:
    """Set an attribute of the span that runs."""
    if _tracer is not None:
        from llmpipeline_serve import trace_export

        trace_export.current().set_attribute(attribute, value)


def fail(reason: str) -> None:
    """Make the span that runs an error."""
    if _tracer is not None:
        from llmpipeline_serve import trace_export

        trace_export.fail(trace_export.current(), reason)


def identity(headers: Mapping[str, str]) -> list[Pair]:
    """The headers by which a service knows which request and which trace it serves, as far as they are well-formed."""
    known = [(name, headers[name]) for name in (REQUEST_ID, *TRACE_HEADERS) if name in headers]
    sound = [(name, value) for name, value in known if _VALUE.fullmatch(value)]
    if _TRACEPARENT.fullmatch(headers.get(TRACE_HEADERS[0], "")):
        return sound
    return [(name, value) for name, value in sound if name not in TRACE_HEADERS]


def onward(headers: list[Pair]) -> list[Pair]:
    """Headers to send on: those given, with the running span's context in place of the client's.

    If the request is not sampled, the client's own context stays; if it sent none, the one that takes its place says
    so, because the next server would else begin a trace of a part of the request.
    """
    if _tracer is None:
        return headers
    from llmpipeline_serve import trace_export

    context, sampled = trace_export.context_headers()
    if not context or (not sampled and any(name == TRACE_HEADERS[0] for name, _ in headers)):
        return headers
    return [*(pair for pair in headers if pair[0] not in TRACE_HEADERS), *context.items()]


@contextmanager
def _recorded(name: str, client: bool) -> Iterator[None]:
    from llmpipeline_serve import trace_export

    with trace_export.started(_tracer, name, client=client) as running:
        try:
            yield
        except BaseException as error:
            # One that is cancelled did nothing wrong.
            if isinstance(error, Exception):
                trace_export.fail(running, type(error).__name__)
            raise


class EngineCall:
    """The span of one call of an engine. It is never the running one, because an answer may be read anywhere."""

    def __init__(self, span: Any) -> None:
        """Take the span, or None for a call that is not traced."""
        self._span = span
        self._began = time.perf_counter()
        self._tokens = 0

    def piece(self, tokens: int, finish_reason: str | None) -> None:
        """A piece of the answer is here: `tokens` came so far."""
        if self._span is None:
            return
        if not self._tokens:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", time.perf_counter() - self._began)
        self._tokens = tokens
        if finish_reason:
            self._span.set_attribute("gen_ai.response.finish_reasons", [finish_reason])

    def __enter__(self) -> "EngineCall":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._span is None:
            return
        if kind is not None and issubclass(kind, Exception):
            from llmpipeline_serve import trace_export

            trace_export.fail(self._span, kind.__name__)
        self._span.set_attribute("gen_ai.usage.output_tokens", self._tokens)
        self._span.end()


_UNTRACED: Final = EngineCall(None)
_SAMPLING: Final[Sequence[str]] = ("max_tokens", "temperature", "top_p", "top_k", "seed")


def engine_call(model: str, sampling: Mapping[str, Any], *, tokens: int, stream: bool) -> EngineCall:
    """Begin the span of a call of an engine, by OpenTelemetry's conventions for generative AI; `tokens` go in."""
    if _tracer is None:
        return _UNTRACED
    from llmpipeline_serve import trace_export

    given = {name: sampling[name] for name in _SAMPLING if sampling.get(name) is not None}
    attributes = {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": model,
        "gen_ai.request.stream": stream,
        "gen_ai.usage.input_tokens": tokens,
        **{f"gen_ai.request.{name}": value for name, value in given.items()},
    }
    return EngineCall(trace_export.begun(_tracer, f"text_completion {model}", attributes))
