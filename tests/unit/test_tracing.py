"""Tracing without Ray: what is rendered and rejected, which headers go on, what is sampled, and the apps' own spans."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, ParentBased
from opentelemetry.trace import StatusCode

from llmpipeline_serve import trace_export, tracing
from llmpipeline_serve.contract.graph import GraphSettings
from llmpipeline_serve.errors import ApiError, failed_upstream
from llmpipeline_serve.graph.run import CompiledGraph
from support.pipelines import desired_of, pipeline, plan_of, problems_of
from support.repository import ROOT

ENDPOINT = "http://otel-collector.monitoring:4318"
TRACEPARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"
OURS = ("RAY_SERVE_TRACING_", "OTEL_")


def traced(endpoint: str = ENDPOINT, **spec: Any) -> dict[str, Any]:
    return pipeline(monitoring={"tracing": {"endpoint": endpoint}}, **spec)


def environments(document: dict[str, Any]) -> list[dict[str, str]]:
    """The variables of tracing in the head's container and in each worker group's."""
    cluster = desired_of(document).service["spec"]["rayClusterConfig"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [pod["template"]["spec"]["containers"][0] for pod in pods]
    return [
        {item["name"]: item.get("value", "") for item in container["env"] if item["name"].startswith(OURS)}
        for container in containers
    ]


def test_head_and_workers_are_traced() -> None:
    head, *workers = environments(traced())
    assert head == {
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "llmpipeline_serve.tracing:span_processors",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": "0.1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT,
        "OTEL_SERVICE_NAME": "reviews",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.namespace.name=ml,llmpipeline.pipeline=reviews",
    }
    assert workers
    assert all(worker == head for worker in workers)


def test_no_variable_without_tracing() -> None:
    assert all(found == {} for found in environments(pipeline(monitoring={})))


def test_a_users_variable_wins() -> None:
    mine = {"name": "OTEL_SERVICE_NAME", "value": "mine"}
    assert environments(traced(ray={"env": [mine]}))[0]["OTEL_SERVICE_NAME"] == "mine"


CLOSED: dict[str, Any] = {"policy": {"egress": "Closed"}}
OPENED = {"policy": {"egress": "Closed", "egressTo": [{"name": "all", "cidr": "10.0.0.0/8"}]}}


@pytest.mark.parametrize(
    ("endpoint", "network", "wrong", "noted"),
    [
        (ENDPOINT, {}, False, False),
        (ENDPOINT, CLOSED, True, False),
        (ENDPOINT, OPENED, False, True),
        ("http://127.0.0.1:4318", CLOSED, False, False),
        ("http://[::1]:4318", CLOSED, False, False),
        ("http://localhost:4318", CLOSED, False, False),
        ("http://10.1.2.3:4318", CLOSED, True, False),
        ("http://otel:99999", {}, True, False),
        ("http://[0]:4318", {}, True, False),
    ],
)
def test_a_closed_egress(endpoint: str, network: dict[str, Any], wrong: bool, noted: bool) -> None:
    document = traced(endpoint, network=network)
    assert [problem.path[-1] for problem in problems_of(document)] == ["endpoint"] * wrong
    assert any("egressTo" in note for note in plan_of(document).notes) == noted


def test_rays_own_image_lacks_the_exporter() -> None:
    image = {"image": "rayproject/ray-llm:2.60.0"}
    assert any("lacks llmpipeline-serve" in note for note in plan_of(traced(ray=image)).notes)
    assert plan_of(pipeline(ray=image)).notes == plan_of(traced()).notes == ()


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ({}, []),
        ({"cookie": "a", "authorization": "b", "baggage": "c"}, []),
        ({"x-request-id": "1"}, ["x-request-id"]),
        ({"x-request-id": "é"}, []),
        ({"x-request-id": "1" * 600}, []),
        ({"traceparent": TRACEPARENT, "tracestate": "a=1"}, ["traceparent", "tracestate"]),
        ({"traceparent": "no", "tracestate": "a=1"}, []),
        ({"tracestate": "a=1"}, []),
    ],
)
def test_the_identity_of_a_request(given: dict[str, str], passed: list[str]) -> None:
    assert tracing.identity(given) == [(name, given[name]) for name in passed]


def test_without_tracing_headers_go_on_as_they_are() -> None:
    headers = [("traceparent", TRACEPARENT)]
    with tracing.span("a", "b"):
        tracing.mark("a", 1)
        tracing.fail("a")
        assert tracing.onward(headers) is headers
    assert tracing.span("a", "b") is tracing.span("c", "d", client=True)
    call = tracing.engine_call("m", {}, tokens=1, stream=False)
    assert call is tracing.engine_call("m", {}, tokens=1, stream=False)


def test_without_tracing_opentelemetry_is_not_imported() -> None:
    code = (
        "import sys\n"
        "from llmpipeline_serve import tracing\n"
        "import llmpipeline_serve.graph.run\n"
        "with tracing.span('a', 'b'): tracing.mark('a', 1); tracing.onward([])\n"
        "with tracing.engine_call('m', {}, tokens=1, stream=False) as call: call.piece(1, 'stop')\n"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "serve_apps", check=True)


@pytest.mark.parametrize(
    ("name", "begins_here", "sampled"),
    [
        ("proxy_http_request", False, True),
        ("replica_handle_request Graph __call__", True, True),
        ("replica_handle_request node __call__", False, False),
        ("replica_handle_request LLMServer chat", True, False),
        ("replica_handle_request LLMRouter __call__", True, False),
        ("route_to_replica", True, False),
        ("the user's own", False, True),
    ],
)
def test_only_whole_requests_begin_a_trace(name: str, begins_here: bool, sampled: bool) -> None:
    sampler = trace_export.WholeRequests(1, lambda: begins_here)
    wanted = Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP
    assert sampler.should_sample(None, 1, name).decision is wanted
    nothing = trace_export.WholeRequests(0, lambda: True)
    assert nothing.should_sample(None, 2**64 - 1, name).decision is Decision.DROP


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What the apps' spans end in, with tracing on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(trace_export.WholeRequests(1, lambda: True)))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


def request_span() -> Any:
    """The span in which Serve would hand a sampled request over."""
    return tracing._tracer.start_as_current_span("replica_handle_request Graph __call__")


def test_a_span_replaces_the_clients_context(spans: InMemorySpanExporter) -> None:
    with request_span(), tracing.span("variant", "a", client=True):
        headers = tracing.onward([("traceparent", TRACEPARENT), ("tracestate", "a=1"), ("b", "c")])
        context = trace.get_current_span().get_span_context()
    flags = f"{context.trace_flags:02x}"
    assert context.trace_flags.sampled
    assert headers == [("b", "c"), ("traceparent", f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags}")]
    variant, root = spans.get_finished_spans()
    assert variant.parent
    assert variant.parent.span_id == root.context.span_id


def test_a_part_of_an_unsampled_request_begins_no_trace(spans: InMemorySpanExporter) -> None:
    with tracing.span("variant", "a", client=True):
        client = [("traceparent", TRACEPARENT)]
        assert tracing.onward(client) == client
        ((name, value),) = tracing.onward([])
        assert (name, value[-3:]) == ("traceparent", "-00")
    with tracing.engine_call("m", {}, tokens=1, stream=False):
        pass
    assert spans.get_finished_spans() == ()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_the_outcomes_of_nodes(spans: InMemorySpanExporter) -> None:
    async def ask(name: str, _: Any) -> dict[str, Any]:
        if name in ("falls", "breaks"):
            raise failed_upstream("a prompt")
        return {}

    def node(name: str, **fields: Any) -> dict[str, Any]:
        return {"name": name, "input": "request.text", **fields}

    nodes = [node("fine"), node("falls", fallback={}), node("never", when="false"), node("breaks", after=["fine"])]
    graph = CompiledGraph(GraphSettings.model_validate({"nodes": nodes}))
    with request_span(), pytest.raises(ApiError):
        asyncio.run(graph.run({"text": "hi"}, ask))
    found = {span.name: span for span in spans.get_finished_spans()}
    outcomes = {name: attributes(span).get("llmpipeline.node.outcome") for name, span in found.items()}
    expected = {"node fine": "ok", "node falls": "fallback", "node never": "skipped", "node breaks": "error"}
    assert {name: outcomes[name] for name in expected} == expected
    failed = {name for name, span in found.items() if span.status.status_code is StatusCode.ERROR}
    assert failed == {"node falls", "node breaks"}
    assert "a prompt" not in "".join(span.to_json() for span in found.values())


def test_an_engines_call(spans: InMemorySpanExporter) -> None:
    with request_span():
        sampling = {"max_tokens": 8, "temperature": 0.5, "stop": ["a secret"]}
        with tracing.engine_call("m", sampling, tokens=3, stream=True) as call:
            call.piece(1, None)
            call.piece(2, "stop")
        with pytest.raises(ValueError, match="a prompt"), tracing.engine_call("m", {}, tokens=3, stream=False):
            raise ValueError("a prompt")
    fine, failed, _ = spans.get_finished_spans()
    found = attributes(fine)
    assert found.pop("gen_ai.response.time_to_first_chunk") >= 0
    assert found == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 8,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
    }
    assert (failed.status.status_code, attributes(failed)["error.type"]) == (StatusCode.ERROR, "ValueError")
