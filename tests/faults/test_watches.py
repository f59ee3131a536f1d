"""Watches that end, say 410, or go silent; connections that a firewall has forgotten; lists that are old."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from support.control_plane import eventually
from support.control_plane.quickstart import RAY, SERVICES
from support.faults.actions import Action, Answer, Expired, Silent, Stale
from support.faults.fault import WATCHES, Fault
from support.faults.ground import SEEDS, Course, Disturbance, Ground, survive
from support.faults.scenario import Scenario, Step

# So many kinds are watched here: neither HTTPRoutes nor the kinds of the Prometheus operator are installed.
KINDS = 5
STORM_SECONDS = 3
# The API server sends a bookmark each minute: only after more than that can the operator know that a watch is dead.
SILENT_SECONDS = 150.0
LONG = pytest.mark.skipif(SEEDS < 20, reason="takes minutes: make faults runs it, with FAULT_SEEDS=20")


@contextmanager
def dropped(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    yield [ground.proxy.drop_watches] * 3


def test_watches_are_cut(ground: Ground) -> None:
    survive(ground, Course("watches are cut, again and again", dropped))


def survive_too_old(ground: Ground, name: str, action: Action) -> None:
    """From the fault on no watch can begin at a version from before: only a list helps."""
    faults: list[Fault] = []
    try:
        survive(ground, Course(name, too_old(action, faults)))
    finally:
        for fault in faults:
            ground.proxy.lift(fault)


def too_old(action: Action, faults: list[Fault]) -> Disturbance:
    """Adds to the faults, which last until the pipelines are right."""

    @contextmanager
    def fault(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
        yield ()
        marker = {"metadata": {"name": "marker", "namespace": scenarios[0].namespace}}
        now = ground.admin.create("v1", "configmaps", marker)["metadata"]["resourceVersion"]
        expired = ground.proxy.add(Fault(action, WATCHES, older_than=int(now)))
        faults.append(expired)
        ground.proxy.drop_watches()
        for scenario in scenarios:
            for pipeline in [it for it in scenario.pipelines if it.alive]:
                pipeline.write(scenario.new_spec())
        eventually(lambda: expired.hits, 20, "a watch that begins at an old version")

    return fault


def test_watches_say_410(ground: Ground) -> None:
    survive_too_old(ground, "410 Gone in a watch's first event, for old versions", Expired())


def test_watches_are_answered_with_410(ground: Ground) -> None:
    action = Answer(410, "too old resource version")
    survive_too_old(ground, "410 Gone as the answer to a watch, for old versions", action)


@contextmanager
def storm(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """Whatever version a watch begins at; the operator must not ask without a pause."""
    fault = Fault(Expired(), WATCHES)
    with ground.proxy.during(fault):
        yield [ground.proxy.drop_watches]
        eventually(lambda: fault.hits, 20, "a watch to begin")
        before = fault.hits
        time.sleep(STORM_SECONDS)
        begun = fault.hits - before
    assert begun <= KINDS * 2 * STORM_SECONDS, f"{begun} watches were begun in {STORM_SECONDS} s"


def test_all_watches_say_410(ground: Ground) -> None:
    survive(ground, Course("410 Gone in every watch's first event", storm))


@contextmanager
def silent(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    with ground.proxy.during(Fault(Silent(), WATCHES)):
        yield [ground.proxy.drop_watches, ground.proxy.silence_watches]
    ground.proxy.drop_watches()


def test_watches_go_silent(ground: Ground) -> None:
    survive(ground, Course("watches go silent, and are cut in the end", silent))


@contextmanager
def silent_for_good(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    ground.proxy.silence_watches()
    yield ()


@LONG
def test_watches_stay_silent(ground: Ground) -> None:
    name = f"watches go silent for good (limit {SILENT_SECONDS:.0f} s)"
    survive(ground, Course(name, silent_for_good), seconds=SILENT_SECONDS, seeds=5)


@contextmanager
def forgotten(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    yield [ground.proxy.forget_connections]
    ground.proxy.cut_forgotten()


def test_connections_are_forgotten(ground: Ground) -> None:
    survive(ground, Course("connections are forgotten, and reset in the end", forgotten))


@contextmanager
def forgotten_for_good(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    yield [ground.proxy.forget_connections]


@LONG
def test_connections_stay_forgotten(ground: Ground) -> None:
    name = f"connections are forgotten for good (limit {SILENT_SECONDS:.0f} s)"
    survive(ground, Course(name, forgotten_for_good), seconds=SILENT_SECONDS, seeds=5)


@contextmanager
def deleted_in_a_gap(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """While no watch works, a RayService and a pipeline go; the watches then begin with a list."""
    gap = Fault(Answer(504), WATCHES)
    with ground.proxy.during(gap):
        ground.proxy.drop_watches()
        yield ()
        alive = [it for scenario in scenarios for it in scenario.pipelines if it.alive]
        for pipeline in alive[::2]:
            if pipeline.service():
                pipeline.lost = True
                ground.admin.delete(RAY, SERVICES, pipeline.namespace, pipeline.name)
        alive[-1].delete()
        ground.proxy.add(once := Fault(Expired(), WATCHES, times=KINDS))
    ground.proxy.lift(once)


def test_what_goes_in_a_gap_of_the_watches(ground: Ground) -> None:
    survive(ground, Course("objects are deleted while no watch works", deleted_in_a_gap))


@contextmanager
def stale(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """The watches begin again, with lists from before the edits."""
    recorded = ground.proxy.record_lists()
    again = Fault(Expired(), WATCHES, times=KINDS)
    with ground.proxy.during(Fault(Stale(recorded), ("list",)), again):
        yield [ground.proxy.drop_watches]
        ground.proxy.drop_watches()


def test_lists_are_old(ground: Ground) -> None:
    survive(ground, Course("lists are old", stale))


@contextmanager
def stale_start(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """The operator starts, and all it lists is from before the edits."""
    recorded = ground.proxy.record_lists()
    ground.stop_operator()
    try:
        with ground.proxy.during(Fault(Stale(recorded), ("list",))):
            yield ()
            ground.start_operator()
    finally:
        ground.wanted = True


def test_lists_are_old_when_it_starts(ground: Ground) -> None:
    survive(ground, Course("lists are old when the operator starts", stale_start))
