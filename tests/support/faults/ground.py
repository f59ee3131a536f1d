"""Where a fault is tested: a control plane, the proxy before it, the operator behind that, and the course of a run."""

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final

from support.control_plane import Admin, ControlPlane, Manifest, OperatorProcess
from support.faults.figures import FIGURES
from support.faults.ledger import Write
from support.faults.oracle import is_over
from support.faults.proxy import FaultProxy
from support.faults.scenario import Pipeline, Scenario, Step, any_spec, mixed

SEEDS: Final = int(os.environ.get("FAULT_SEEDS", "3"))
# Those of one batch are run at once, through the same fault.
BATCH: Final = 5
# From the end of the fault.
CONVERGE_SECONDS: Final = 30.0
MOST_WRITES: Final = 5
# A write that changes nothing costs a request all the same: what a few reconciliations too many may cost.
MOST_REQUESTS: Final = 15
# Between two steps, at most.
PAUSE_SECONDS: Final = 0.02
# As the kubelet after the first crash.
RESTART_SECONDS: Final = 1.0

SpecMaker = Callable[[random.Random, int], Manifest]


@dataclass
class Ground:
    """All that a run needs.

    Attributes:
        control_plane: etcd and the API server.
        admin: The test's own client, which does not go through the proxy.
        proxy: Between the operator and the API server.
        operator: As a process.
        wanted: Whether the operator should run: if it ends by itself, it is started again.
        ended: How often that was.
        killed: The test has killed it at a write, and it should be started again.
    """

    control_plane: ControlPlane
    admin: Admin
    proxy: FaultProxy
    operator: OperatorProcess
    wanted: bool = True
    ended: int = 0
    killed: bool = False

    def keep_running(self) -> None:
        """Start the operator again if it has ended, as the kubelet does."""
        if not self.wanted or self.operator.running:
            return
        if not self.killed:
            self.ended += 1
            time.sleep(RESTART_SECONDS)
        self.killed = False
        self.operator.start(wait=False)

    def kill_operator(self) -> None:
        """From any thread: it is started again by the next `keep_running`."""
        self.killed = True
        self.operator.kill()

    def stop_operator(self, *, kill: bool = True) -> None:
        """End it, and leave it so."""
        self.wanted = False
        if kill:
            self.operator.kill()
        else:
            self.operator.stop()

    def start_operator(self) -> None:
        """Start it."""
        self.operator.start(wait=False)
        self.wanted = True


# What makes a fault, around the steps of all scenarios; it yields steps of its own, which are mixed in.
Disturbance = Callable[[Ground, Sequence[Scenario]], AbstractContextManager[Sequence[Step]]]


@dataclass(frozen=True)
class Course:
    """One fault, with scenarios of its own.

    Attributes:
        name: Of the fault.
        disturbance: Makes it.
        spec: Makes the specs.
        operators: How many work at once.
    """

    name: str
    disturbance: Disturbance
    spec: SpecMaker = any_spec
    operators: int = 1

    def scenarios(self, ground: Ground, seeds: range) -> list[Scenario]:
        """One for each seed."""
        return [Scenario(ground.admin, self.name, seed, self.spec) for seed in seeds]


def survive(ground: Ground, *courses: Course, seconds: float = CONVERGE_SECONDS, seeds: int = SEEDS) -> None:
    """Run every seed through the faults, several at once where there are several, and check what came of each."""
    for first in range(0, seeds, BATCH):
        batch = range(first, min(first + BATCH, seeds))
        runs = {course: course.scenarios(ground, batch) for course in courses}
        ended = ground.ended
        for course, scenarios in runs.items():
            figure = FIGURES.of(course.name)
            figure.seeds += len(scenarios)
            figure.pipelines += sum(len(it.pipelines) for it in scenarios)
            figure.failed = True
        try:
            _run(ground, runs, seconds)
        finally:
            for course, scenarios in runs.items():
                FIGURES.of(course.name).ended += ground.ended - ended
                for scenario in scenarios:
                    scenario.clear()
    for course in courses:
        FIGURES.of(course.name).failed = False


def _run(ground: Ground, runs: Mapping[Course, Sequence[Scenario]], seconds: float) -> None:
    everything = [scenario for scenarios in runs.values() for scenario in scenarios]
    for scenario in everything:
        scenario.begin()
    settle(ground, everything, CONVERGE_SECONDS)
    source = everything[0].random
    with ExitStack() as stack:
        others = [stack.enter_context(it.disturbance(ground, scenarios)) for it, scenarios in runs.items()]
        for step in mixed(source, [*(it.steps() for it in everything), *others]):
            step()
            time.sleep(source.uniform(0, PAUSE_SECONDS))
            ground.keep_running()
    mark = ground.proxy.ledger.mark
    open_edits = {it: it.open_edits() for scenario in everything for it in scenario.pipelines}
    waits = settle(ground, everything, seconds)
    for course, scenarios in runs.items():
        figure = FIGURES.of(course.name)
        figure.seconds = max(figure.seconds, *(waits[it] for it in scenarios))
        for pipeline in [it for scenario in scenarios for it in scenario.pipelines]:
            most = course.operators * MOST_WRITES * max(1, min(2, open_edits[pipeline]))
            figure.writes = max(figure.writes, _judge_writes(ground, mark, pipeline, most))


def _judge_writes(ground: Ground, mark: int, pipeline: Pipeline, most: int) -> int:
    """How many writes there were after a mark. Of two edits that were not carried out before it, both may be."""
    writes = written(ground, mark, pipeline)
    listed = "\n".join(map(str, writes))
    effective = [write for write in writes if write.effective]
    assert len(effective) <= most, f"{pipeline}: too many writes after the fault:\n{listed}"
    assert len(writes) <= MOST_REQUESTS, f"{pipeline}: too many writes after the fault:\n{listed}"
    return len(writes)


def settle(ground: Ground, scenarios: Sequence[Scenario], seconds: float) -> dict[Scenario, float]:
    """Wait until nothing is wrong with any pipeline, and say so to each. Returns how long each scenario took.

    Raises:
        AssertionError: Something still is, after so many seconds.
    """
    began = time.monotonic()
    left = list(scenarios)
    took: dict[Scenario, float] = {}
    while left:
        ground.keep_running()
        is_late = time.monotonic() - began > seconds
        found = {it: is_over(it, thorough=is_late) for it in left}
        left = [it for it in left if found[it]]
        took |= {it: time.monotonic() - began for it in found if not found[it]}
        if left and is_late:
            details = "\n".join(f"seed {it.seed}: {found[it]}" for it in left)
            raise AssertionError(f"not as after an undisturbed run, {seconds:.0f} s after the fault:\n{details}")
        if not left:  # what was right first must still be so
            left = [it for it in scenarios if it is not scenarios[-1] and is_over(it, thorough=False)]
        if left:
            time.sleep(0.1)
    for pipeline in [it for scenario in scenarios for it in scenario.pipelines]:
        pipeline.finished()
    return took


def written(ground: Ground, mark: int, pipeline: Pipeline) -> list[Write]:
    """The writes that reached the API server since a mark, of all that belongs to one pipeline."""
    return [
        it
        for it in ground.proxy.ledger.since(mark, pipeline.namespace)
        # Its policy of the head has a dot after its name, and its RayCluster a dash.
        if it.target.name.partition(".")[0].partition("-")[0] == pipeline.name
    ]
