"""OpenTelemetry, as far as traces need it. Imported in processes that are traced, and only by `tracing`."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from llmpipeline_serve.contract.environment import HAPROXY, TRACING_RATIO

_IDS: Final = RandomIdGenerator()
_PROPAGATOR: Final = TraceContextTextMapPropagator()
# Names of Serve's spans. With HAProxy a request begins in the replica that HAProxy asks, else in Serve's proxy.
_ROUTED: Final = "route_to_replica"
_HANDLED, _BY_HTTP = "replica_handle_request ", " __call__"
# HAProxy asks it beside each request which replica of a model to take, without the request's trace.
_ASIDE: Final = "replica_handle_request LLMRouter"


class WholeRequests(Sampler):
    """Samples a share of the requests, each as a whole.

    Serve passes on the context of requests that are sampled, and nothing of others: a replica behind another one would
    take such a request as the start of a trace and roll the dice again.
    """

    def __init__(self, share: float, begins_here: Callable[[], bool]) -> None:
        """Take the share, from 0 to 1, and whether requests come to this replica from clients directly."""
        self._share = TraceIdRatioBased(share)
        self._begins_here = begins_here

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """Drop what is a part of a request that was not sampled where it began."""
        if self._is_part(name):
            return SamplingResult(Decision.DROP)
        return self._share.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """What OpenTelemetry shows of it."""
        return f"WholeRequests{{{self._share.get_description()}}}"

    def _is_part(self, name: str) -> bool:
        if name.startswith(_HANDLED):
            return name.startswith(_ASIDE) or not (name.endswith(_BY_HTTP) and self._begins_here())
        return name.startswith(_ROUTED)


def provide(*, inner: Callable[[], bool]) -> None:
    """Make the provider of tracers before Serve does, whose own would sample parts of requests.

    OpenTelemetry takes one provider for a process, and warns of the second. Serve adds the span processors to ours.
    """
    direct = os.environ.get(HAPROXY) == "1"
    root = WholeRequests(float(os.environ.get(TRACING_RATIO, "0.01")), lambda: direct and not inner())
    trace.set_tracer_provider(TracerProvider(sampler=ParentBased(root)))
    logging.getLogger("opentelemetry.trace").addFilter(lambda record: "Overriding" not in record.getMessage())


def tracer() -> Tracer:
    """The tracer of our spans."""
    return trace.get_tracer("llmpipeline")


def processor() -> BatchSpanProcessor:
    """Sends spans from a thread of its own; if they are too many or nobody takes them, they are dropped."""
    return BatchSpanProcessor(OTLPSpanExporter())


def current() -> Span:
    """The running span; if there is none, one that records nothing."""
    return trace.get_current_span()


def started(tracer: Tracer, name: str, *, client: bool) -> AbstractContextManager[Span]:
    """A span that is the running one within the context."""
    return tracer.start_as_current_span(
        name,
        context=_context(),
        kind=SpanKind.CLIENT if client else SpanKind.INTERNAL,
        record_exception=False,
        set_status_on_exception=False,
    )


def begun(tracer: Tracer, name: str, attributes: Mapping[str, Any]) -> Span:
    """A span of a call that the caller ends."""
    return tracer.start_span(name, context=_context(), kind=SpanKind.CLIENT, attributes=attributes)


def fail(span: Span, reason: str) -> None:
    """Make a span an error."""
    span.set_attribute("error.type", reason)
    span.set_status(Status(StatusCode.ERROR))


def context_headers() -> tuple[dict[str, str], bool]:
    """The running span's context as W3C's headers, and whether it is sampled."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers, current().get_span_context().trace_flags.sampled


def _context() -> Context | None:
    """The context of a new span. Without a span around it the request is not sampled, and no trace begins here."""
    if current().get_span_context().is_valid:
        return None
    unsampled = SpanContext(_IDS.generate_trace_id(), _IDS.generate_span_id(), False, TraceFlags(0))
    return trace.set_span_in_context(NonRecordingSpan(unsampled))
