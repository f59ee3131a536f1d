"""The operator is killed, gone, or there twice."""

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.control_plane import OperatorProcess
from support.faults.actions import Crash
from support.faults.fault import WRITES, Fault
from support.faults.figures import FIGURES
from support.faults.ground import CONVERGE_SECONDS, SEEDS, Course, Ground, settle, survive
from support.faults.scenario import Pipeline, Scenario, Step, any_spec, behaviour

# A scenario of its own for the crashes: each of its writes costs two starts of the operator.
CRASH_SEEDS = 1 if SEEDS < 20 else 5


def course(scenario: Scenario) -> list[Step]:
    """What one pipeline lives through: objects are made, changed and taken away. The first is short."""
    (pipeline,) = scenario.pipelines
    first, second = any_spec(scenario.random, 1), any_spec(scenario.random, 2)
    if scenario.seed == 0:
        first.pop("disruption", None)
        second.pop("disruption", None)
    first["network"] = {"policy": {}}
    second.pop("network", None)
    steps: list[Step] = [lambda: pipeline.write(first), lambda: pipeline.write(second)]
    if scenario.seed:
        steps += [*behaviour("flapping", pipeline), lambda: pipeline.write(first), pipeline.delete]
    return steps


def one(ground: Ground, seed: int) -> Scenario:
    scenario = Scenario(ground.admin, "killed at a write", seed, any_spec)
    scenario.pipelines = [Pipeline(ground.admin, scenario.namespace, "p0")]
    scenario.random = random.Random(seed)
    return scenario


def lived(ground: Ground, scenario: Scenario) -> float:
    """Live through its course, waiting after each step. Returns how long the longest wait was."""
    waits = []
    for step in course(scenario):
        step()
        waits.append(settle(ground, [scenario], CONVERGE_SECONDS)[scenario])
    return max(waits)


def test_killed_at_every_write(ground: Ground) -> None:
    figure = FIGURES.of("killed before and after each write")
    figure.failed = True
    wrong = []
    for seed in range(CRASH_SEEDS):
        figure.seeds += 1
        for number, after in ((number, after) for number in itertools.count() for after in (False, True)):
            scenario = one(ground, seed)
            crash = Fault(Crash(ground.kill_operator, after), WRITES, scenario.namespace, skip=number, times=1)
            ground.proxy.add(crash)
            figure.pipelines += 1
            try:
                figure.seconds = max(figure.seconds, lived(ground, scenario))
            except AssertionError as error:
                writes = ", ".join(map(str, ground.proxy.ledger.since(0, scenario.namespace)))
                place = f"{'after' if after else 'before'} write {number + 1}"
                wrong.append(f"seed {seed}, killed {place}: {error}\n  writes: {writes}")
            finally:
                ground.proxy.lift(crash)
                scenario.clear()
            if not crash.hits:  # there are no more writes
                break
    assert not wrong, "\n".join(wrong)
    figure.failed = False


@contextmanager
def gone(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """Pipelines are made, changed and deleted while it is not there."""
    ground.stop_operator()
    try:
        yield ()
        for scenario in scenarios:
            alive = [it for it in scenario.pipelines if it.alive]
            alive[-1].delete()
    finally:
        ground.start_operator()


def test_gone_while_pipelines_are_deleted(ground: Ground) -> None:
    survive(ground, Course("the operator is gone while pipelines change", gone))


@contextmanager
def killed(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    yield [ground.kill_operator] * 2


def test_killed_at_any_time(ground: Ground) -> None:
    survive(ground, Course("the operator is killed at any time", killed))


def test_two_at_once(ground: Ground, tmp_path: Path) -> None:
    """Without a Lease, so both work."""
    other = OperatorProcess(ground.proxy.kubeconfig, tmp_path / "other.log")

    @contextmanager
    def fault(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
        if not other.running:
            other.start()
        yield ()

    try:
        survive(ground, Course("two operators work at once", fault, operators=2))
    finally:
        other.kill()
