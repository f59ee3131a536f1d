"""For each alert, series by which it must fire, and series by which it must not, as promtool takes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_WHO: Final = 'namespace="ml", pipeline="chat"'
_APP: Final = f'{_WHO}, app="chat"'
_DEPLOYMENT: Final = f'{_APP}, deployment="one"'
_HEALTHY: Final = f'ray_serve_deployment_replica_healthy{{{_DEPLOYMENT}, replica="r1"}}'


@dataclass(frozen=True)
class Case:
    """Series, and whether the alert fires at a time.

    Attributes:
        alert: Its name.
        about: What the series are of.
        series: The values of each, one a minute, in promtool's notation.
        minute: When it is looked at.
        fires: Whether it fires for exactly one pipeline, app or operator then.
    """

    alert: str
    about: str
    series: Mapping[str, str]
    minute: int
    fires: bool = True
    labels: str = field(default="")

    @property
    def title(self) -> str:
        """Says which case it is."""
        return f"{self.alert} {'fires' if self.fires else 'is silent'}: {self.about}"

    def test(self) -> dict[str, Any]:
        """As promtool's file has it."""
        firing = f'count(ALERTS{{alertname="{self.alert}", alertstate="firing"}}) or vector(0)'
        expected = [{"labels": "{}", "value": 1 if self.fires else 0}]
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in self.series.items()],
            "promql_expr_test": [{"expr": firing, "eval_time": f"{self.minute}m", "exp_samples": expected}],
        }


def _condition(name: str, reason: str = "X", namespace: str = "ml") -> str:
    return f'llmpipeline_{name}{{namespace="{namespace}", pipeline="chat", reason="{reason}"}}'


def _requests(code: int, app: str = "chat", worker: str = "w1") -> str:
    labels = f'{_WHO}, app="{app}", route="/", method="POST", status_code="{code}", WorkerId="{worker}"'
    return f"ray_serve_num_http_requests_total{{{labels}}}"


def _bucket(le: str) -> str:
    return f'ray_serve_http_request_latency_ms_bucket{{{_APP}, le="{le}"}}'


def _first_token(le: str) -> str:
    return f'ray_vllm_time_to_first_token_seconds_bucket{{{_WHO}, replica="r1", model_name="m", le="{le}"}}'


_OWN_WHO: Final = 'namespace="ml", pipeline="reviews"'
_BUSY: Final = {
    _requests(200).replace(_WHO, _OWN_WHO): "0+600x120",
    _HEALTHY.replace(_WHO, _OWN_WHO): "1x120",
}


def _own(series: Mapping[str, str]) -> dict[str, str]:
    """The series of the pipeline that has objectives."""
    return {**_BUSY, **{name.replace(_WHO, _OWN_WHO): values for name, values in series.items()}}


_GPUS: Final = f'ray_resources{{{_WHO}, Name="GPU", State="USED", NodeAddress="a"}}'
_PREEMPTED: Final = f'ray_vllm_num_preemptions_total{{{_WHO}, replica="r1", engine="0"}}'
_QUEUED: Final = f'ray_serve_deployment_queued_queries{{{_DEPLOYMENT}, handle="h"}}'
_ASKED: Final = f"ray_serve_autoscaling_target_replicas{{{_DEPLOYMENT}}}"


def _started(replica: str) -> str:
    return f'ray_serve_deployment_replica_starts_total{{{_DEPLOYMENT}, replica="{replica}"}}'


_STARTS: Final = _started("r1")
_LEADING: Final = 'llmpipeline_leading{pod="a"}'
_STANDBY: Final = 'llmpipeline_leading{pod="b"}'

CASES: Final = (
    Case(
        "LLMPipelineNotAvailable",
        "it was available, and nobody answers",
        {_condition("available", "AppsRunning"): "1x9 stale", _condition("available", "NoEndpoints"): "_x9 0x20"},
        15,
    ),
    Case("LLMPipelineNotAvailable", "its first start takes long", {_condition("available"): "0x60"}, 50, fires=False),
    Case(
        "LLMPipelineNotAvailable",
        "for a day",
        {_condition("available", "AppsRunning"): "1x9 stale", _condition("available", "NoEndpoints"): "_x9 0x1500"},
        1400,
    ),
    Case(
        "LLMPipelineNotAvailable",
        "an update in place",
        {_condition("available", "AppsRunning"): "1x9 stale", _condition("available", "AppsDeploying"): "_x9 0x20"},
        20,
        fires=False,
    ),
    Case(
        "LLMPipelineNotAvailable",
        "it starts after it was suspended",
        {
            _condition("available", "AppsRunning"): "1x9 stale",
            _condition("available", "Suspended"): "_x9 0x10 stale",
            _condition("available", "NoEndpoints"): "_x20 0x20",
        },
        30,
        fires=False,
    ),
    Case(
        "LLMPipelineNotAvailable",
        "it was suspended",
        {_condition("available", "AppsRunning"): "1x9 stale", _condition("available", "Suspended"): "_x9 0x20"},
        20,
        fires=False,
    ),
    Case(
        "LLMPipelineNotAvailable",
        "it was deleted",
        {_condition("available", "AppsRunning"): "1x9 stale"},
        20,
        fires=False,
    ),
    Case("LLMPipelineNotReady", "for more than an hour", {_condition("ready"): "0x90"}, 70),
    Case("LLMPipelineNotReady", "a short update", {_condition("ready"): "0x20 1x90"}, 70, fires=False),
    Case(
        "LLMPipelineNotReady",
        "a stalled one has an alert of its own",
        {_condition("ready"): "0x90", _condition("stalled"): "1x90"},
        80,
        fires=False,
    ),
    Case("LLMPipelineNotReady", "suspended", {_condition("ready", "Suspended"): "0x90"}, 80, fires=False),
    Case("LLMPipelineRejected", "a mistake", {_condition("accepted", "InvalidSpec"): "0x20"}, 10),
    Case("LLMPipelineRejected", "no mistake", {_condition("accepted", "Valid"): "1x20"}, 10, fires=False),
    Case(
        "LLMPipelineStalled",
        "an app that cannot start",
        {_condition("stalled", "AppsFailed"): "1x20", _condition("accepted", "Valid"): "1x20"},
        10,
    ),
    Case(
        "LLMPipelineStalled",
        "a rejected one has an alert of its own",
        {_condition("stalled", "InvalidSpec"): "1x20", _condition("accepted", "InvalidSpec"): "0x20"},
        10,
        fires=False,
    ),
    Case("LLMPipelineUpdateStuck", "for two hours", {_condition("reconciling", "Upgrading"): "1x120"}, 110),
    Case(
        "LLMPipelineUpdateStuck",
        "an hour",
        {_condition("reconciling", "Upgrading"): "1x60", _condition("reconciling", "Settled"): "_x60 0x60"},
        110,
        fires=False,
    ),
    Case("LLMPipelineReplicasMissing", "one of two", {_ASKED: "2x40", _HEALTHY: "1x40"}, 30),
    Case("LLMPipelineReplicasMissing", "all, from the first", {_ASKED: "1x40"}, 30),
    Case(
        "LLMPipelineReplicasMissing",
        "an update, in which two clusters serve",
        {
            _ASKED.replace("}", ', ray_io_cluster="a"}'): "1x40",
            _ASKED.replace("}", ', ray_io_cluster="b"}'): "1x40",
            _HEALTHY: "1x40",
            _HEALTHY.replace("r1", "r2"): "1x40",
        },
        30,
        fires=False,
    ),
    Case(
        "LLMPipelineReplicasMissing",
        "a controller that was replaced leaves its series for a while",
        {
            _ASKED.replace("}", ', WorkerId="a"}'): "1x40",
            _ASKED.replace("}", ', WorkerId="b"}'): "1x40",
            _HEALTHY.replace("}", ', WorkerId="a"}'): "1x40",
            _HEALTHY.replace("}", ', WorkerId="b"}'): "1x40",
        },
        30,
        fires=False,
    ),
    Case(
        "LLMPipelineReplicasRestarting",
        "three times",
        {
            _ASKED: "1x60",
            _STARTS: "1x20 stale",
            _started("r2"): "_x20 1x3 stale",
            _started("r3"): "_x24 1x3 stale",
            _started("r4"): "_x28 1x30",
        },
        32,
    ),
    Case(
        "LLMPipelineReplicasRestarting",
        "a first start",
        {_ASKED: "_x20 2x20", _STARTS: "_x20 1x20", _started("r2"): "_x20 1x20"},
        25,
        fires=False,
    ),
    Case(
        "LLMPipelineReplicasRestarting",
        "scaling",
        {_ASKED: "1x20 3x20", _STARTS: "1x40", _started("r2"): "_x20 1x20", _started("r3"): "_x20 1x20"},
        25,
        fires=False,
    ),
    Case(
        "LLMPipelineReplicasRestarting",
        "an update in place",
        {
            _ASKED: "2x60",
            _STARTS: "1x20 stale",
            _started("r2"): "_x20 1x20",
            _started("r3"): "_x20 1x20",
            _condition("reconciling", "Deploying"): "0x20 1x4 0x20",
        },
        25,
        fires=False,
    ),
    Case(
        "LLMPipelineReplicasRestarting",
        "a new Ray cluster",
        {
            _ASKED.replace("}", ', ray_io_cluster="a"}'): "2x60",
            _ASKED.replace("}", ', ray_io_cluster="b"}'): "_x20 2x20",
            _STARTS.replace("}", ', ray_io_cluster="a"}'): "1x60",
            _started("r2").replace("}", ', ray_io_cluster="b"}'): "_x20 1x20",
            _started("r3").replace("}", ', ray_io_cluster="b"}'): "_x20 1x20",
        },
        25,
        fires=False,
    ),
    Case("LLMPipelineGpusIdle", "no request for hours", {_GPUS: "4x300", _requests(200): "5x300"}, 200),
    Case("LLMPipelineGpusIdle", "never a request", {_GPUS: "4x300"}, 200),
    Case("LLMPipelineGpusIdle", "a request an hour", {_GPUS: "4x300", _requests(200): "0+0.1x300"}, 200, fires=False),
    Case("LLMPipelineGpusIdle", "no GPUs", {_requests(200): "5x300"}, 200, fires=False),
    Case(
        "LLMPipelineErrorBudgetBurnFast",
        "a third fails",
        {_requests(200): "0+200x90", _requests(500): "0+100x90", _requests(200, "other"): "0+100x90"},
        80,
    ),
    Case(
        "LLMPipelineErrorBudgetBurnFast",
        "one of three requests fails",
        {_requests(200): "0 0 1 2x90", _requests(500): "0 0 0 1x90"},
        10,
        fires=False,
    ),
    Case(
        "LLMPipelineErrorBudgetBurnFast",
        "no traffic",
        {_requests(200): "5x90", _requests(500): "5x90"},
        80,
        fires=False,
    ),
    Case("LLMPipelineErrorBudgetBurnFast", "clients' mistakes", {_requests(404): "0+100x90"}, 80, fires=False),
    Case(
        "LLMPipelineErrorBudgetBurnFast",
        "it is over",
        {_requests(200): "0+200x90", _requests(500): "0+100x50 5000x40"},
        75,
        fires=False,
    ),
    Case(
        "LLMPipelineErrorBudgetBurnFast",
        "counters begin again with another replica",
        {
            _requests(200): "0+200x40 _x50",
            _requests(500): "9000x40 _x50",
            _requests(200, worker="w2"): "_x40 0+200x50",
            _requests(500, worker="w2"): "_x40 0x50",
        },
        80,
        fires=False,
    ),
    Case(
        "LLMPipelineErrorBudgetBurnFast",
        "the app's own objective, of 0.5 %, where the default of 1 % is kept",
        _own({_requests(200): "0+900x90", _requests(500): "0+100x90"}),
        80,
    ),
    Case(
        "LLMPipelineErrorBudgetBurnSlow",
        "seven percent for hours",
        {_requests(200): "0+930x400", _requests(500): "0+70x400"},
        390,
    ),
    Case(
        "LLMPipelineErrorBudgetBurnSlow",
        "one percent",
        {_requests(200): "0+990x400", _requests(500): "0+10x400"},
        390,
        fires=False,
    ),
    Case(
        "LLMPipelineQueueGrowing",
        "more each minute",
        {_QUEUED: "0+5x40"},
        30,
    ),
    Case(
        "LLMPipelineQueueGrowing",
        "it goes up and down",
        {_QUEUED: "50 51 52 53 54 55 54 53 52 51 50 51 52 53 54 55 54 53 52 51"},
        15,
        fires=False,
    ),
    Case("LLMPipelineQueueGrowing", "always full, and bounded", {_QUEUED: "50x40"}, 30, fires=False),
    Case("LLMPipelineQueueGrowing", "now and then", {_QUEUED: "0 9 0 9 0 9 0 9 0x40"}, 8, fires=False),
    Case("LLMPipelinePreemptions", "one a second", {_PREEMPTED: "0+60x40", _HEALTHY: "1x40"}, 30),
    Case("LLMPipelinePreemptions", "one a minute", {_PREEMPTED: "0+1x40", _HEALTHY: "1x40"}, 30, fires=False),
    Case(
        "LLMPipelineLatencyHigh",
        "half take a second",
        _own({_bucket("100.0"): "0+300x40", _bucket("1000.0"): "0+600x40", _bucket("+Inf"): "0+600x40"}),
        30,
    ),
    Case(
        "LLMPipelineLatencyHigh",
        "all are fast",
        _own({_bucket("100.0"): "0+600x40", _bucket("1000.0"): "0+600x40", _bucket("+Inf"): "0+600x40"}),
        30,
        fires=False,
    ),
    Case(
        "LLMPipelineLatencyHigh",
        "another pipeline's, with an app of the same name",
        {_bucket("100.0"): "0x40", _bucket("1000.0"): "0+600x40", _bucket("+Inf"): "0+600x40", **_BUSY},
        30,
        fires=False,
    ),
    Case(
        "LLMPipelineTimeToFirstTokenHigh",
        "half take a second",
        _own({_first_token("0.1"): "0+300x40", _first_token("1.0"): "0+600x40", _first_token("+Inf"): "0+600x40"}),
        30,
    ),
    Case(
        "LLMPipelineTimeToFirstTokenHigh",
        "all are fast",
        _own({_first_token("0.1"): "0+600x40", _first_token("1.0"): "0+600x40", _first_token("+Inf"): "0+600x40"}),
        30,
        fires=False,
    ),
    Case("LLMPipelineOperatorDown", "no replica is scraped", {"up": "1x20"}, 10),
    Case("LLMPipelineOperatorDown", "a standby is left", {_STANDBY: "0x20"}, 10, fires=False),
    Case("LLMPipelineNoLeader", "two standbys", {_LEADING: "0x20", _STANDBY: "0x20"}, 10),
    Case(
        "LLMPipelineNoLeader",
        "in one of two installations",
        {'llmpipeline_leading{namespace="a"}': "1x20", 'llmpipeline_leading{namespace="b"}': "0x20"},
        10,
    ),
    Case("LLMPipelineNoLeader", "a failover", {_LEADING: "1x5 stale", _STANDBY: "0x6 1x20"}, 10, fires=False),
    Case("LLMPipelineQueueOverdue", "three minutes", {'llmpipeline_queue_oldest_seconds{pod="a"}': "180x20"}, 10),
    Case(
        "LLMPipelineQueueOverdue",
        "ten seconds",
        {'llmpipeline_queue_oldest_seconds{pod="a"}': "10x20"},
        10,
        fires=False,
    ),
    Case("LLMPipelineWatchStale", "five minutes", {'llmpipeline_watch_age_seconds{pod="a"}': "300x20"}, 10),
    Case("LLMPipelineWatchStale", "a minute", {'llmpipeline_watch_age_seconds{pod="a"}': "60x20"}, 10, fires=False),
)
