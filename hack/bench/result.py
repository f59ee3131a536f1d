"""What the benchmark measured, as a table and as JSON."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class BurstResult:
    """New pipelines, all at once."""

    created: int
    rayservices: int
    applied: int
    creates_per_second: float
    seconds: float
    rayservices_per_second: float
    latency_median_seconds: float
    latency_p99_seconds: float
    operator_cpu_seconds: float
    writes: dict[str, int]
    reads: dict[str, int]


@dataclass
class IdleResult:
    """The operator with nothing to do."""

    seconds: float
    cpu_seconds: float
    resident_mib: float
    unique_mib: float


@dataclass
class RestartResult:
    """SIGTERM and a start, with everything there already."""

    stop_seconds: float
    exit_code: int
    ready_seconds: float
    quiet_seconds: float
    writes: dict[str, int]
    reads: dict[str, int]
    objects: int
    changed_objects: list[str]


@dataclass
class Result:
    """One run of the benchmark."""

    count: int
    machine: dict[str, Any]
    kuberay_crds: str
    raw_per_second: list[float] = field(default_factory=list)
    burst: BurstResult | None = None
    idle: IdleResult | None = None
    restart: RestartResult | None = None

    @property
    def ratio(self) -> float:
        """The operator's rate as a share of the mean rate of bare applies around it."""
        if not self.burst or not self.raw_per_second:
            return math.nan
        return self.burst.rayservices_per_second / (sum(self.raw_per_second) / len(self.raw_per_second))

    @property
    def failures(self) -> list[str]:
        """What must never be seen, whatever the machine."""
        found = []
        if self.burst and (self.burst.applied < self.count or self.burst.rayservices < self.count):
            found.append(f"only {self.burst.rayservices} RayServices, {self.burst.applied} Applied, of {self.count}")
        if self.restart and self.restart.changed_objects:
            found.append(f"the restart changed {len(self.restart.changed_objects)} objects")
        return found

    def as_json(self) -> str:
        """Everything, for later comparison."""
        return json.dumps({**asdict(self), "ratio": self.ratio, "failures": self.failures}, indent=1)

    def as_table(self) -> str:
        """The main numbers, for people."""
        rows = [("raw server-side applies", " and ".join(f"{it:.0f}/s" for it in self.raw_per_second))]
        if self.burst:
            rows += _burst_rows(self.burst, self.count, self.ratio)
        if self.idle:
            it = self.idle
            rows.append(("memory after it", f"{it.resident_mib:.0f} MiB resident, {it.unique_mib:.0f} MiB unique"))
            rows.append((f"idle for {it.seconds:.0f} s", f"{it.cpu_seconds:.2f} s of CPU"))
        if self.restart:
            rows += _restart_rows(self.restart)
        rows += [("FAILED", it) for it in self.failures]
        width = max(len(name) for name, _ in rows)
        title = f"{self.count} pipelines; {self.machine['cores']} cores; {self.kuberay_crds}"
        return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def _burst_rows(it: BurstResult, count: int, ratio: float) -> list[tuple[str, str]]:
    return [
        ("pipelines created", f"{it.creates_per_second:.0f}/s"),
        ("all RayServices, all Applied", f"{it.rayservices}+{it.applied} of {count} in {it.seconds:.1f} s"),
        ("RayServices by the operator", f"{it.rayservices_per_second:.0f}/s, {ratio:.2f} of raw"),
        ("created to Applied", f"median {it.latency_median_seconds:.2f} s, p99 {it.latency_p99_seconds:.2f} s"),
        ("operator's CPU for it", f"{it.operator_cpu_seconds:.1f} s"),
        ("writes per pipeline", _per_pipeline(it.writes, count)),
        ("reads per pipeline", _per_pipeline(it.reads, count)),
    ]


def _restart_rows(it: RestartResult) -> list[tuple[str, str]]:
    return [
        ("restart: stopped after", f"{it.stop_seconds:.1f} s, exit {it.exit_code}"),
        ("restart: ready after", f"{it.ready_seconds:.1f} s; last request after {it.quiet_seconds:.1f} s"),
        ("restart: writes", _totals(it.writes)),
        ("restart: reads", _totals(it.reads)),
        ("restart: objects changed", f"{len(it.changed_objects)} of {it.objects}"),
    ]


def _per_pipeline(counts: dict[str, int], count: int) -> str:
    total = f"{sum(counts.values()) / count:.2f}"
    return f"{total}: " + ", ".join(f"{name} {number / count:.2f}" for name, number in _largest(counts))


def _totals(counts: dict[str, int]) -> str:
    return f"{sum(counts.values())}: " + ", ".join(f"{name} {number}" for name, number in _largest(counts))


def _largest(counts: dict[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda it: -it[1])[:8]


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan
