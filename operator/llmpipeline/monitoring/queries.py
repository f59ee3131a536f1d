"""The queries behind dashboards, alerts and `status --slo`, each written once.

Every series has the labels `namespace` and `pipeline` by the scraping (see `scraping`), and Ray Serve's own, which the
scraping also names `app`, `deployment` and `replica`. During an update two RayClusters of a pipeline serve side by
side, and their series add up.

A window is a duration, such as 5m.
"""

import re
from dataclasses import dataclass
from typing import Final

PIPELINE: Final = "namespace, pipeline"
APP: Final = f"{PIPELINE}, app"
DEPLOYMENT: Final = f"{APP}, deployment"
# The cluster whose series they are: Prometheus gets it from the Pod.
CLUSTER: Final = "ray_io_cluster"
_REQUESTS: Final = "ray_serve_num_http_requests_total"
_OF_AN_APP: Final = 'app!=""'
_HEALTHY: Final = "ray_serve_deployment_replica_healthy"
_METRIC: Final = re.compile(r"\b(?:ray|llmpipeline)_[a-z0-9_]+\b")
_LABELS: Final = re.compile(r"\{[^{}]*\}|\b(?:by|on|group_left) \([^()]*\)")
# Ray Serve's gauges stay for some minutes when their process has ended.
_GONE_AFTER: Final = "10m"


@dataclass(frozen=True, slots=True)
class Scope:
    """Of which series: what stands between the braces.

    Attributes:
        pipeline: Such as `namespace="ml", pipeline="chat"`; empty: all.
        app: Such as `app=~"chat|search"`; empty: all. Series of vLLM and of nodes have no app of their own.
    """

    pipeline: str = ""
    app: str = ""


EVERYTHING: Final = Scope()


def requests(scope: Scope, window: str, by: str = APP) -> str:
    """HTTP requests a second. Calls of nobody's app, like those of health checks, are left out."""
    return f"sum by ({by}) (rate({_series(_REQUESTS, scope, _OF_AN_APP)}[{window}]))"


def requests_increase(scope: Scope, window: str) -> str:
    """HTTP requests within a time."""
    return f"sum by ({APP}) (increase({_series(_REQUESTS, scope, _OF_AN_APP)}[{window}]))"


def errors(scope: Scope, window: str, by: str = APP) -> str:
    """Answers a second with a status of 500 or above. An app without one has none, and not no series."""
    failed = _series(_REQUESTS, scope, _OF_AN_APP, 'status_code=~"5.."')
    return f"(sum by ({by}) (rate({failed}[{window}])) or {requests(scope, window, by)} * 0)"


def error_ratio(scope: Scope, window: str, by: str = APP) -> str:
    """Share of requests that failed, 0 to 1. No series where there was no request."""
    asked = requests(scope, window, by)
    return f"({errors(scope, window, by)} / ({asked} > 0))"


def latency(number: float, scope: Scope, window: str, by: str = APP) -> str:
    """A quantile of the time until the end of an answer, in seconds."""
    buckets = _series("ray_serve_http_request_latency_ms_bucket", scope, _OF_AN_APP)
    return f"{_quantile(number, buckets, window, by)} / 1000"


def queued(scope: Scope) -> str:
    """Requests that wait for a replica."""
    return f"sum by ({DEPLOYMENT}) ({_series('ray_serve_deployment_queued_queries', scope)})"


def replicas_asked(scope: Scope) -> str:
    """Replicas that Ray Serve wants now. The controller may have been replaced, so each cluster counts once."""
    asked = _series("ray_serve_autoscaling_target_replicas", scope)
    return f"sum by ({DEPLOYMENT}) (max by ({DEPLOYMENT}, {CLUSTER}) ({asked}))"


def replicas_healthy(scope: Scope) -> str:
    """Replicas that answer their health check."""
    return f"sum by ({DEPLOYMENT}) (max by ({DEPLOYMENT}, replica) ({_series(_HEALTHY, scope)}))"


def replicas_started(scope: Scope, window: str) -> str:
    """Replicas that began within a time, in Ray clusters that were there before it.

    Ray Serve counts the starts in the replica itself, so each replica is a series that begins with 1 and stays there.
    """
    starts = _series("ray_serve_deployment_replica_starts_total", scope)
    asked = _series("ray_serve_autoscaling_target_replicas", scope)
    by = f"{DEPLOYMENT}, {CLUSTER}"
    new = f"count by ({by}) (present_over_time({starts}[{window}]) unless {starts} offset {window})"
    return f"{new} and on ({by}) {asked} offset {window}"


def gpus(scope: Scope, state: str = "USED|AVAILABLE") -> str:
    """GPUs that the Ray Pods hold, or those of them that a replica has: state USED."""
    held = _series("ray_resources", Scope(scope.pipeline), 'Name="GPU"', f'State=~"{state}"')
    return f"sum by ({PIPELINE}) ({held})"


def vllm_rate(metric: str, scope: Scope, window: str, by: str = APP) -> str:
    """What one of vLLM's counters gains a second."""
    return _with_app(f"rate({_vllm(metric, scope)}[{window}])", scope, by)


def vllm_increase(metric: str, scope: Scope, window: str) -> str:
    """What one of vLLM's counters gained within a time, by app; replicas that are gone by now included."""
    gained = f"increase({_vllm(metric, scope)}[{window}])"
    return _with_app(gained, scope, APP, since=window)


def vllm_gauge(metric: str, scope: Scope, by: str = APP, how: str = "sum") -> str:
    """One of vLLM's gauges, added up or by another aggregation."""
    return _with_app(_vllm(metric, scope), scope, by, how)


def vllm_quantile(
    number: float, metric: str, scope: Scope, window: str, by: str = APP, since: str = _GONE_AFTER
) -> str:
    """A quantile of one of vLLM's histograms, in its own unit; of replicas that were there within the time `since`."""
    buckets = f"rate({_vllm(f'{metric}_bucket', scope)}[{window}])"
    return f"histogram_quantile({number}, {_with_app(buckets, scope, f'{by}, le', since=since)})"


def quantile(number: float, metric: str, scope: Scope, window: str, by: str) -> str:
    """A quantile of one of our histograms."""
    return _quantile(number, _series(f"ray_llmpipeline_{metric}_bucket", scope), window, by)


def _quantile(number: float, buckets: str, window: str, by: str) -> str:
    return f"histogram_quantile({number}, sum by ({by}, le) (rate({buckets}[{window}])))"


def _vllm(metric: str, scope: Scope) -> str:
    """Series of vLLM, which have no app of their own."""
    return _series(f"ray_vllm_{metric}", Scope(scope.pipeline))


def _with_app(expression: str, scope: Scope, by: str, how: str = "sum", since: str = _GONE_AFTER) -> str:
    """Series of vLLM by app: they name their replica alone, and Ray Serve knows whose that is."""
    owners = f"group by ({DEPLOYMENT}, replica) (last_over_time({_series(_HEALTHY, scope)}[{since}]))"
    return f"{how} by ({by}) ({expression} * on ({PIPELINE}, replica) group_left (app, deployment) {owners})"


def _series(metric: str, scope: Scope, *more: str) -> str:
    chosen = ", ".join(part for part in (scope.pipeline, scope.app, *more) if part)
    return f"{metric}{{{chosen}}}" if chosen else metric


def metric_names(expression: str) -> set[str]:
    """The names of the metrics in one of our queries."""
    return set(_METRIC.findall(_LABELS.sub("", expression)))
