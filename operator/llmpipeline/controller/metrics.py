"""The operator's own metrics."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llmpipeline.api.status import GpuCount, Status
from llmpipeline.conditions import Reconciling, Stalled, Verdict
from llmpipeline.controller.work_queue import WorkQueue
from llmpipeline.names import Key

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_LAG_SECONDS: Final = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_INTERVAL: Final = 1.0
# Conditions of which neither truth is a fault, or false is fine.
_NEUTRAL: Final = (Reconciling.TYPE, Stalled.TYPE)
# Pipelines with series of their own; those with a condition that is not true come first.
MOST_PIPELINES: Final = 2000


class _Shown(NamedTuple):
    """What is shown of one pipeline.

    Attributes:
        conditions: Type, whether it is true, and reason of each.
        gpus: How many it asks for, and how many it may take; None if nothing is known.
    """

    conditions: tuple[tuple[str, bool, str], ...]
    gpus: GpuCount | None

    @property
    def is_fine(self) -> bool:
        return all(true for kind, true, _ in self.conditions if kind not in _NEUTRAL)


class Metrics:
    """The operator's own metrics."""

    def __init__(
        self, queue: WorkQueue, repairs: Callable[[], int] = lambda: 0, watch_age: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self.reconciled = Counter(
            "llmpipeline_reconcile", "Reconciliations, by how they ended.", ["result"], registry=registry
        )
        self.seconds = Histogram(
            "llmpipeline_reconcile_seconds", "Time of one reconciliation.", buckets=_SECONDS, registry=registry
        )
        self.requests = Counter(
            "llmpipeline_api_requests",
            "Requests to the API server, by verb and status code; code 0: no answer.",
            ["verb", "code"],
            registry=registry,
        )
        self.leading = Gauge(
            "llmpipeline_leading", "1 if this operator is the leader, 0 if it is a standby.", registry=registry
        )
        self._lag = Histogram(
            "llmpipeline_loop_lag_seconds",
            "By how much the event loop was late, measured once a second.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        _function(registry, "llmpipeline_queue_depth", "Pipelines that wait for a worker.", lambda: len(queue))
        _function(
            registry,
            "llmpipeline_queue_oldest_seconds",
            "For how long the first of them has waited.",
            lambda: queue.oldest_seconds,
        )
        _function(
            registry,
            "llmpipeline_watch_repairs",
            "Changes that a watch left out, and a later list showed.",
            lambda: float(repairs()),
        )
        _function(
            registry,
            "llmpipeline_watch_age_seconds",
            "How long nothing has been heard of pipelines; the API server sends something about once a minute.",
            watch_age,
        )
        self._shown: dict[Key, _Shown] = {}
        _function(registry, "llmpipeline_pipelines", "Pipelines that are known.", lambda: len(self._shown))
        registry.register(_Pipelines(self._shown))

    def note(self, key: Key, verdict: Verdict | None, status: Status | None) -> None:
        """How a reconciliation ended, and what the pipeline's status now says."""
        self.reconciled.labels(verdict.reason.word if verdict else "Gone").inc()
        if status:
            conditions = tuple((it.type, it.status == "True", it.reason) for it in status.conditions)
            self._shown[key] = _Shown(conditions, status.gpus)
        else:
            self.forget(key)

    def forget(self, key: Key) -> None:
        """The pipeline is gone."""
        self._shown.pop(key, None)

    async def measure_lag(self) -> None:
        """Measures until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_INTERVAL
            await asyncio.sleep(_LAG_INTERVAL)
            self._lag.observe(max(0.0, loop.time() - due))


class _Pipelines(Collector):
    """The conditions of pipelines and their GPUs. Made when it is asked for.

    `llmpipeline_ready` and the other conditions are 1 if the condition is true, with its reason.
    """

    def __init__(self, shown: dict[Key, _Shown]) -> None:
        self._shown = shown

    def collect(self) -> Iterator[Metric]:
        by_health = sorted(self._shown.items(), key=lambda item: item[1].is_fine)[:MOST_PIPELINES]
        yield from _conditions(by_health)
        yield from _gpus(by_health)


def _conditions(pipelines: list[tuple[Key, _Shown]]) -> Iterator[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for key, shown in pipelines:
        for kind, true, reason in shown.conditions:
            name = f"llmpipeline_{kind.lower()}"
            if name not in families:
                text = f"Whether the condition {kind} of a pipeline is true."
                families[name] = GaugeMetricFamily(name, text, labels=("namespace", "pipeline", "reason"))
            families[name].add_metric((*key, reason), float(true))
    yield from families.values()


def _gpus(pipelines: list[tuple[Key, _Shown]]) -> Iterator[Metric]:
    labels = ("namespace", "pipeline")
    requested = GaugeMetricFamily(
        "llmpipeline_gpus_requested", "GPUs with every deployment at its minimum number of replicas.", labels=labels
    )
    maximum = GaugeMetricFamily(
        "llmpipeline_gpus_maximum", "GPUs with every worker group at its maximum number of Pods.", labels=labels
    )
    for key, shown in pipelines:
        if shown.gpus:
            requested.add_metric(key, shown.gpus.requested)
            maximum.add_metric(key, shown.gpus.maximum)
    yield from (requested, maximum)


def _function(registry: CollectorRegistry, name: str, text: str, function: Callable[[], float]) -> None:
    Gauge(name, text, registry=registry).set_function(function)
