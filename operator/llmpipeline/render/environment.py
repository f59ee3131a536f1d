"""Environment variables of every Ray Pod, head and workers alike: Ray reads them when a node starts."""

from typing import Any, Final

from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.api.pods import EnvironmentVariable
from llmpipeline.kuberay.ray_versions import has_haproxy
from llmpipeline.plan.plan import Plan
from llmpipeline.render.drain import drain_variables
from llmpipeline_serve.contract import environment as shared

# Ray runs its workers, and so every replica and engine, at nice 15. In a Pod there is nothing that they should yield
# to but Ray's own daemons, which then starve them where the CPUs are few.
_NICENESS: Final = {"RAY_worker_niceness": "0"}
# Nothing is reported outside the cluster. Users who want that set these in `ray.env`.
_SILENT: Final = {"RAY_USAGE_STATS_ENABLED": "0", "VLLM_NO_USAGE_STATS": "1"}
# Of Ray's own buckets one ends at 10 s and the next at 60 s. Most answers of language models end between the two, and a
# quantile of them would be a guess. In milliseconds.
LATENCY_BUCKETS: Final = {
    "RAY_SERVE_REQUEST_LATENCY_BUCKETS_MS": "5,10,20,50,100,200,300,500,750,1000,1500,2000,3000,5000,7500,10000,15000,"
    "20000,30000,45000,60000,120000,300000,600000"
}
# HAProxy instead of Serve's Python proxy; docs/measurements.md has the figures.
_HAPROXY: Final = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # When replicas come or go, a new HAProxy takes over. The old one keeps the streams that it carries for so long;
    # by default it is killed after two minutes, in the middle of an answer.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "3600",
}


def ray_variables(version: str) -> dict[str, str]:
    """Ray's performance switches for a Ray version, like `2.60.0`."""
    return _NICENESS | (_HAPROXY if has_haproxy(version) else {})


def tracing_variables(pipeline: LLMPipeline) -> dict[str, str]:
    """What turns Ray Serve's tracing on, and says where the traces go; nothing if the pipeline is not traced."""
    monitoring = pipeline.spec.monitoring
    if not (monitoring and monitoring.tracing):
        return {}
    name = pipeline.metadata.name
    # Names of Kubernetes hold nothing that OpenTelemetry wants percent-encoded in these.
    resource = {"k8s.namespace.name": pipeline.metadata.namespace, "llmpipeline.pipeline": name}
    return {
        shared.TRACING_EXPORTER: shared.TRACING_IMPORT_PATH,
        shared.TRACING_RATIO: f"{monitoring.tracing.sampling_percent / 100:g}",
        shared.OTLP_ENDPOINT: monitoring.tracing.endpoint,
        shared.OTEL_SERVICE_NAME: name,
        shared.OTEL_RESOURCE: ",".join(f"{key}={value}" for key, value in resource.items()),
    }


def variables(pipeline: LLMPipeline, plan: Plan) -> list[dict[str, Any]]:
    """All of them as a container has them. The user's replace ours of the same name."""
    ray = pipeline.spec.ray
    switches = _SILENT | LATENCY_BUCKETS | drain_variables(pipeline.spec.drain_seconds)
    switches |= ray_variables(ray.version) if ray.performance == "Optimized" else {}
    switches |= tracing_variables(pipeline)
    secrets = dict.fromkeys(secret for app in plan.applications for secret in app.secrets)
    ours = [
        *(_plain(name, value) for name, value in switches.items()),
        *(_from_secret(variable, secret, key) for variable, secret, key in secrets),
    ]
    users = [_users(variable) for variable in ray.env]
    said = {variable["name"] for variable in users}
    return [*(variable for variable in ours if variable["name"] not in said), *users]


def _users(given: EnvironmentVariable) -> dict[str, Any]:
    if source := given.value_from:
        return {"name": given.name, "valueFrom": source.model_dump(by_alias=True, exclude_none=True)}
    return _plain(given.name, given.value or "")


def _plain(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value}


def _from_secret(name: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
