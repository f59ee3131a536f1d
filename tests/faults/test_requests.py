"""Requests that fail: answers that are errors, connections that end, and what hangs."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from support.control_plane import eventually
from support.faults.actions import Action, Answer, Delay, Expired, Hang, LostAnswer, Reset
from support.faults.fault import ALL, WATCHES, WRITES, Fault
from support.faults.ground import CONVERGE_SECONDS, Course, Disturbance, Ground, survive
from support.faults.oracle import Snapshot, wrong
from support.faults.scenario import Pipeline, Scenario, Step

# Those of one group act at once, each on namespaces of its own.
FAULTS: dict[str, dict[str, Action]] = {
    "answers": {
        "409": Answer(409),
        "429": Answer(429, headers={"Retry-After": "1"}),
        "500": Answer(500),
        "504": Answer(504),
    },
    "connections": {"connection reset": Reset(), "delayed": Delay(0.4), "hanging, then reset": Hang()},
}
WEBHOOK = 'failed calling webhook "policies.example": failed to call webhook: context deadline exceeded'


def within(scenarios: Sequence[Scenario]) -> str:
    """A regular expression for the paths of these scenarios."""
    return f"/namespaces/({'|'.join(re.escape(it.namespace) for it in scenarios)})/"


def of_writes(action: Action) -> Disturbance:
    @contextmanager
    def fault(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
        with ground.proxy.during(Fault(action, WRITES, within(scenarios), chance=0.5, seed=scenarios[0].seed)):
            yield ()

    return fault


def of_reads(action: Action) -> Disturbance:
    """Reads of objects, and the lists that a watch begins with."""

    @contextmanager
    def fault(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
        objects = Fault(action, ("get",), within(scenarios), chance=0.5, seed=scenarios[0].seed)
        # A list is of all namespaces, so it is one of several faults' turn after the other's.
        with ground.proxy.during(objects, Fault(action, ("list",), times=2), Fault(Expired(), WATCHES, times=2)):
            yield [ground.proxy.drop_watches]

    return fault


@pytest.mark.parametrize("group", FAULTS)
def test_requests(ground: Ground, group: str) -> None:
    courses = [Course("writes: answer lost", of_writes(LostAnswer()))] if group == "connections" else []
    for what, action in FAULTS[group].items():
        courses += [Course(f"writes: {what}", of_writes(action)), Course(f"reads: {what}", of_reads(action))]
    survive(ground, *courses)


@contextmanager
def token_expired(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    with ground.proxy.during(Fault(Answer(401), ALL)):
        yield [ground.proxy.drop_watches]


def test_a_token_that_has_expired(ground: Ground) -> None:
    survive(ground, Course("401 to everything", token_expired))


@contextmanager
def etcd_full(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """In the API server's words, by the proxy: the test's own writes are carried out."""
    with ground.proxy.during(Fault(Answer(500, "etcdserver: mvcc: database space exceeded"), WRITES)):
        yield ()


def test_etcd_is_full(ground: Ground) -> None:
    survive(ground, Course("etcd is full: 500 to every write", etcd_full))


@contextmanager
def webhook_hangs(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """Whoever has no policy is not disturbed, however long it takes."""
    hanging = Hang(20, Answer(500, WEBHOOK))
    with ground.proxy.during(Fault(hanging, WRITES, "/networkpolicies/", method="PATCH")):
        yield ()
        for scenario in scenarios:
            others = [it for it in scenario.pipelines if all("network" not in spec for spec in it.specs)]
            wait_for(scenario, others)


def wait_for(scenario: Scenario, pipelines: Sequence[Pipeline]) -> None:
    """Until nothing is wrong with these."""
    found: list[str] = []

    def are_right() -> bool:
        snapshot = Snapshot.of(scenario)
        found[:] = [f"{it}: {text}" for it in pipelines if (text := wrong(it, snapshot))]
        return not found

    try:
        eventually(are_right, CONVERGE_SECONDS, interval=0.2)
    except TimeoutError as error:
        raise AssertionError(f"disturbed by the policies of others: {found}") from error


def test_a_webhook_that_hangs(ground: Ground) -> None:
    survive(ground, Course("a webhook for policies that hangs for 20 s", webhook_hangs))
