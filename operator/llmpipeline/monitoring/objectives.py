"""The rules of one pipeline's own objectives: its thresholds as series, and an alert for each."""

from collections.abc import Iterator
from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.monitoring import queries
from llmpipeline.monitoring.alerts import ERROR_OBJECTIVE, FAST_BURN, SLOW_BURN, Alert, burns
from llmpipeline.monitoring.queries import Scope

LATENCY_OBJECTIVE: Final = "llmpipeline_objective_latency_p99_seconds"
FIRST_TOKEN_OBJECTIVE: Final = "llmpipeline_objective_time_to_first_token_p95_seconds"
# Quantiles of a few requests are no trend: as many a second as make one a minute.
_LEAST_RATE: Final = 1 / 60


def groups(pipeline: LLMPipeline) -> list[dict[str, Any]]:
    """The groups of rules; none if no app has objectives."""
    rules = [rule for app in pipeline.spec.apps for rule in _rules(pipeline, app)]
    return [{"name": "llmpipeline-objectives", "rules": rules}] if rules else []


def _rules(pipeline: LLMPipeline, app: App) -> list[dict[str, Any]]:
    labels = labels_of(pipeline, app)
    records = [
        {"record": record, "expr": f"vector({value:g})", "labels": labels} for record, value in thresholds(app).items()
    ]
    return [*records, *(alert.rule() for alert in alerts(app, scope_of(labels)))]


def alerts(app: App, scope: Scope) -> Iterator[Alert]:
    """The alerts on what the app has an objective for."""
    given = thresholds(app)
    who = "{{ $labels.namespace }}/{{ $labels.pipeline }} app {{ $labels.app }}"
    busy = f"and {queries.requests(scope, '5m')} > {_LEAST_RATE:.4f}"
    if LATENCY_OBJECTIVE in given:
        slow = f"{queries.latency(0.99, scope, '5m')} > {given[LATENCY_OBJECTIVE]:g} {busy}"
        summary = f"{who}: 1 % of the requests take longer than {{{{ $value | humanizeDuration }}}}."
        yield Alert("LLMPipelineLatencyHigh", slow, 10, "warning", summary)
    if FIRST_TOKEN_OBJECTIVE in given:
        first = queries.vllm_quantile(0.95, "time_to_first_token_seconds", scope, "5m")
        summary = (
            f"{who}: 5 % of the requests wait longer than {{{{ $value | humanizeDuration }}}} for the first token."
        )
        slow = f"{first} > {given[FIRST_TOKEN_OBJECTIVE]:g} {busy}"
        yield Alert("LLMPipelineTimeToFirstTokenHigh", slow, 10, "warning", summary)
    if ERROR_OBJECTIVE in given:
        ratio = given[ERROR_OBJECTIVE]
        failed = f"{who}: {{{{ $value | humanizePercentage }}}} of the requests of the last {{}} failed."
        fast, slow = burns(FAST_BURN, "1h", "5m", ratio, scope), burns(SLOW_BURN, "6h", "30m", ratio, scope)
        yield Alert("LLMPipelineErrorBudgetBurnFast", fast, 2, "critical", failed.replace("{}", "hour"))
        yield Alert("LLMPipelineErrorBudgetBurnSlow", slow, 15, "warning", failed.replace("{}", "six hours"))


def thresholds(app: App) -> dict[str, float]:
    """The objectives of an app by the name of their series, in seconds and shares."""
    given = app.objectives
    if not given:
        return {}
    values = {
        LATENCY_OBJECTIVE: given.latency_p99_milliseconds and given.latency_p99_milliseconds / 1000,
        FIRST_TOKEN_OBJECTIVE: given.time_to_first_token_p95_milliseconds
        and given.time_to_first_token_p95_milliseconds / 1000,
        ERROR_OBJECTIVE: given.error_rate_percent and given.error_rate_percent / 100,
    }
    return {name: float(value) for name, value in values.items() if value}


def labels_of(pipeline: LLMPipeline, app: App) -> dict[str, str]:
    """The labels that the series of one app of one pipeline have."""
    metadata = pipeline.metadata
    return {"namespace": metadata.namespace or "default", "pipeline": metadata.name, "app": app.name}


def scope_of(labels: dict[str, str]) -> Scope:
    """The series of one app of one pipeline. Names of objects need no escape."""
    return Scope(f'namespace="{labels["namespace"]}", pipeline="{labels["pipeline"]}"', f'app="{labels["app"]}"')
