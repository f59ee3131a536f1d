"""Alert rules for every pipeline and for the operator. Those of a pipeline's own objectives are in `objectives`.

An alert says what a user of a pipeline feels, or what will soon be felt, and has a page in docs/runbooks of its name.
Nothing fires because there is no traffic, no Prometheus of Ray Pods, or no GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from llmpipeline.monitoring import queries
from llmpipeline.monitoring.queries import APP, DEPLOYMENT, EVERYTHING, PIPELINE, Scope

# The pages are published nowhere yet: the chart's value `prometheusRule.runbooks` says where yours are.
RUNBOOKS: Final = "docs/runbooks"
# Where nothing else is said: 99 % of requests are answered.
DEFAULT_ERROR_RATIO: Final = 0.01
# A budget of 30 days: 2 % of it in an hour, or 5 % in six hours. Source: The Site Reliability Workbook, chapter 5.
FAST_BURN: Final = 14.4
SLOW_BURN: Final = 6.0
# A burn rate above this share of failed requests could never be reached.
_HIGHEST_RATIO: Final = 0.5
# Of a few requests one that fails is no trend.
_FEWEST_ERRORS: Final = 10
# What an app's objective says in its place.
ERROR_OBJECTIVE: Final = "llmpipeline_objective_error_ratio"

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule.

    Attributes:
        name: Its name, which its runbook has too.
        expression: What is true while something is wrong.
        minutes: How long it must have been true.
        severity: critical: wake somebody; warning: in working hours; info: to look at one day.
        summary: What is wrong, in a sentence with Prometheus' templates.
        labels: More labels.
    """

    name: str
    expression: str
    minutes: int
    severity: Severity
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self) -> dict[str, Any]:
        """As Prometheus and the PrometheusRule have it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            **({"for": f"{self.minutes}m"} if self.minutes else {}),
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {"summary": self.summary, "runbook_url": f"{RUNBOOKS}/{runbook(self.name)}.md"},
        }


def runbook(alert: str) -> str:
    """The name of the runbook's page: LLMPipelineNotAvailable is in not-available.md."""
    short = alert.removeprefix("LLMPipeline")
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in short).lstrip("-")


def groups() -> list[dict[str, Any]]:
    """The groups of rules as a rule file and a PrometheusRule have them."""
    named = (("pipelines", PIPELINES), ("requests", REQUESTS), ("operator", OPERATOR))
    return [{"name": f"llmpipeline-{name}", "rules": [alert.rule() for alert in alerts]} for name, alerts in named]


def burns(factor: float, long: str, short: str, threshold: float, scope: Scope = EVERYTHING) -> str:
    """Whether requests fail so fast in both windows; the short one ends the alert soon after the fault has ended.

    Args:
        factor: How much faster than the budget allows.
        long: The window that is judged.
        short: The window that shows whether it still goes on.
        threshold: The allowed share of failed requests.
        scope: Of which series.
    """
    most = min(factor * threshold, _HIGHEST_RATIO)
    parts = [f"{queries.error_ratio(scope, window)} > {most:g}" for window in (long, short)]
    enough = f"{queries.errors(scope, long)} * {_SECONDS[long]} > {_FEWEST_ERRORS}"
    return f"{parts[0]} and {parts[1]} and {enough}"


_SECONDS: Final = {"1h": 3600, "6h": 21600}
_WHO: Final = "{{ $labels.namespace }}/{{ $labels.pipeline }}"
_WHICH: Final = f"{_WHO} app {{{{ $labels.app }}}}"
_DEPLOYMENT: Final = f"{_WHICH} deployment {{{{ $labels.deployment }}}}"


def _condition(name: str, value: int) -> str:
    """A condition of pipelines. Both replicas may show it for a moment, so the newer truth wins where it is better."""
    how = "max" if value == 0 else "min"
    return f"{how} by ({PIPELINE}) (llmpipeline_{name}) == {value}"


def _why(condition: str) -> str:
    """Has Prometheus add the reason, which changes while the alert goes on and so is no label of it."""
    series = f'llmpipeline_{condition}{{namespace=\\"%s\\",pipeline=\\"%s\\"}}'
    found = f'printf "{series}" $labels.namespace $labels.pipeline | query'
    return f' {{{{ with {found} }}}}Reason: {{{{ . | first | label "reason" }}}}.{{{{ end }}}}'


def _without_objective(expression: str) -> str:
    return f"({expression}) unless on ({APP}) {ERROR_OBJECTIVE}"


_FIRING: Final = 'ALERTS{alertname="LLMPipelineNotAvailable", alertstate="firing"}'
_QUEUED: Final = queries.queued(EVERYTHING)
_ASKED: Final = queries.replicas_asked(EVERYTHING)

PIPELINES: Final = (
    Alert(
        "LLMPipelineNotAvailable",
        # It was before: a first start takes as long as its models, and so does a start after `suspend`. What fires goes
        # on until it is over, however long ago it was available. An update in place is no outage by itself.
        f"({_condition('available', 0)}) and on ({PIPELINE}) (max by ({PIPELINE}) "
        f"(max_over_time(llmpipeline_available[1h])) == 1 or on ({PIPELINE}) {_FIRING})"
        f' unless on ({PIPELINE}) present_over_time(llmpipeline_available{{reason=~"Suspended|SuspendedByOther"}}[1h])'
        f' unless on ({PIPELINE}) llmpipeline_available{{reason="AppsDeploying"}}',
        2,
        "critical",
        f"{_WHO} was available and does not answer requests any more." + _why("available"),
    ),
    Alert(
        "LLMPipelineNotReady",
        f'{_condition("ready", 0)} unless on ({PIPELINE}) llmpipeline_ready{{reason=~"Suspended|SuspendedByOther"}}'
        f" unless on ({PIPELINE}) llmpipeline_stalled == 1",
        60,
        "warning",
        f"{_WHO} has not been as its spec asks for an hour." + _why("ready"),
    ),
    Alert(
        "LLMPipelineRejected",
        _condition("accepted", 0),
        5,
        "warning",
        f"The spec of {_WHO} is rejected; what ran before goes on." + _why("accepted"),
    ),
    Alert(
        "LLMPipelineStalled",
        f"{_condition('stalled', 1)} unless on ({PIPELINE}) llmpipeline_accepted == 0",
        5,
        "warning",
        f"{_WHO} cannot become ready until somebody acts." + _why("stalled"),
    ),
    Alert(
        "LLMPipelineUpdateStuck",
        _condition("reconciling", 1),
        90,
        "warning",
        f"A change of {_WHO} has not ended for 90 minutes." + _why("reconciling"),
    ),
    Alert(
        "LLMPipelineReplicasMissing",
        f"{_ASKED} - ({queries.replicas_healthy(EVERYTHING)} or {_ASKED} * 0) > 0",
        15,
        "warning",
        f"{_DEPLOYMENT} lacks {{{{ $value }}}} replicas.",
    ),
    Alert(
        "LLMPipelineReplicasRestarting",
        # Each replica has a series of its own, which appears with it. A new Ray cluster, scaling and an update in place
        # start replicas too.
        f"sum by ({DEPLOYMENT}) ({queries.replicas_started(EVERYTHING, '15m')}) >= 2"
        f" unless on ({DEPLOYMENT}) max by ({DEPLOYMENT}) (changes(ray_serve_autoscaling_target_replicas[15m])) > 0"
        f" unless on ({PIPELINE}) max by ({PIPELINE}) (max_over_time(llmpipeline_reconciling[15m])) == 1",
        0,
        "warning",
        f"Replicas of {_DEPLOYMENT} end and are started again: {{{{ $value | humanize }}}} in 15 minutes.",
    ),
    Alert(
        "LLMPipelineGpusIdle",
        f"{queries.gpus(EVERYTHING)} > 0 unless on ({PIPELINE}) {queries.requests(EVERYTHING, '1h', PIPELINE)} > 0",
        60,
        "info",
        f"{_WHO} holds {{{{ $value }}}} GPUs and has had no request for two hours.",
    ),
)

REQUESTS: Final = (
    Alert(
        "LLMPipelineErrorBudgetBurnFast",
        _without_objective(burns(FAST_BURN, "1h", "5m", DEFAULT_ERROR_RATIO)),
        2,
        "critical",
        f"{_WHICH}: {{{{ $value | humanizePercentage }}}} of the requests of the last hour failed.",
    ),
    Alert(
        "LLMPipelineErrorBudgetBurnSlow",
        _without_objective(burns(SLOW_BURN, "6h", "30m", DEFAULT_ERROR_RATIO)),
        15,
        "warning",
        f"{_WHICH}: {{{{ $value | humanizePercentage }}}} of the requests of the last six hours failed.",
    ),
    Alert(
        "LLMPipelineQueueGrowing",
        # By a fifth or more: a queue that goes up and down is none that grows.
        f"min_over_time(({_QUEUED})[10m:1m]) > 0"
        f" and deriv(({_QUEUED})[10m:1m]) * 600 > 0.2 * avg_over_time(({_QUEUED})[10m:1m])",
        5,
        "warning",
        f"More and more requests wait for {_DEPLOYMENT}.",
    ),
    Alert(
        "LLMPipelinePreemptions",
        f"{queries.vllm_rate('num_preemptions_total', EVERYTHING, '10m', DEPLOYMENT)} > 0.1",
        10,
        "warning",
        f"The KV cache of {_DEPLOYMENT} is too small: {{{{ $value | humanize }}}} requests a second are interrupted.",
    ),
)

OPERATOR: Final = (
    Alert(
        "LLMPipelineOperatorDown",
        "absent(llmpipeline_leading)",
        5,
        "critical",
        "Prometheus sees no replica of the operator. What runs goes on; changes and repairs wait.",
    ),
    Alert(
        "LLMPipelineNoLeader",
        # One installation may be for some namespaces, and another for others.
        "sum by (namespace) (llmpipeline_leading) == 0",
        2,
        "critical",
        "No replica of the operator leads. What runs goes on; changes and repairs wait.",
    ),
    Alert(
        "LLMPipelineQueueOverdue",
        "max(llmpipeline_queue_oldest_seconds) > 60",
        5,
        "warning",
        "A pipeline has waited {{ $value | humanizeDuration }} for the operator.",
    ),
    Alert(
        "LLMPipelineWatchStale",
        "max(llmpipeline_watch_age_seconds) > 180",
        2,
        "warning",
        "The operator has not heard of pipelines for {{ $value | humanizeDuration }}.",
    ),
)
ALL: Final = (*PIPELINES, *REQUESTS, *OPERATOR)
