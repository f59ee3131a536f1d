"""What of all that changes makes a pipeline be worked on. The cluster is a fake that is not asked anything."""

from collections.abc import Sequence
from typing import Any

import pytest

from llmpipeline import names
from llmpipeline.cluster.follow import Change
from llmpipeline.cluster.metadata import Metadata, Owner
from llmpipeline.controller.controller import Controller
from llmpipeline.controller.reconcile import Outcome
from llmpipeline.names import Key, Object

A = Key("ml", "a")
SERVICE = Object("RayService", A)


def pipeline(generation: int, version: str = "1", uid: str = "u") -> Metadata:
    return Metadata(A, uid, version, generation)


def service(version: str, owner: str = "a") -> Metadata:
    return Metadata(A, "s", version, controller=Owner(names.API_VERSION, names.KIND, owner, "u"))


def change(before: Metadata | None, after: Metadata | None, *, listed: bool = False, kind: str = names.KIND) -> Change:
    return Change(kind, A, before, after, listed)


@pytest.fixture
async def controller() -> Controller:
    return Controller(None, ())  # type: ignore[arg-type]  # a fake: nothing is asked


def waiting(controller: Controller) -> tuple[int, int]:
    """How many wait because something is new, and how many only to be looked at again."""
    queue: Any = controller._queue
    return len(queue._urgent), len(queue._routine)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, pipeline(1), (1, 0)),
        (pipeline(1), pipeline(2, "2"), (1, 0)),
        (pipeline(1), pipeline(1, "2"), (0, 0)),  # the status, which we write
        (pipeline(1), pipeline(1, "2", uid="other"), (1, 0)),  # deleted and made again between two events
        (pipeline(1), None, (0, 0)),
    ],
)
async def test_a_pipeline(
    controller: Controller, before: Metadata | None, after: Metadata | None, expected: tuple[int, int]
) -> None:
    controller.pipeline_changed(change(before, after))
    assert waiting(controller) == expected


async def test_at_a_start_those_without_a_rayservice_go_first(controller: Controller) -> None:
    controller.pipeline_changed(change(None, pipeline(1), listed=True))
    assert waiting(controller) == (1, 0)
    other = Controller(None, ())  # type: ignore[arg-type]
    other._made[0].known[A] = service("3")
    other.pipeline_changed(change(None, pipeline(1), listed=True))
    assert waiting(other) == (0, 1)


async def worked_on(controller: Controller, versions: dict[Object, str], heard: Sequence[Change] = ()) -> None:
    controller._pipelines[0].known[A] = pipeline(1)
    controller._queue.add(A)
    key = await controller._queue.take()
    for it in heard:
        controller.object_changed(it)
    controller._queue.done(key)
    controller._note(key, Outcome(versions))


async def test_our_own_writes_come_back_as_echoes(controller: Controller) -> None:
    await worked_on(controller, {SERVICE: "7"})
    controller.object_changed(change(None, service("7"), kind="RayService"))
    assert waiting(controller) == (0, 0)
    controller.object_changed(change(service("7"), service("8"), kind="RayService"))
    assert waiting(controller) == (1, 0)


@pytest.mark.parametrize("after", [None, service("9"), service("9", owner="other")])
async def test_what_changes_during_the_work_is_worked_on_after_it(
    controller: Controller, after: Metadata | None
) -> None:
    """Somebody else's write; a deletion; or another owner: the former owner is worked on too."""
    heard = [change(service("6"), service("7"), kind="RayService"), change(service("7"), after, kind="RayService")]
    await worked_on(controller, {SERVICE: "7"}, heard)
    assert A in controller._queue._urgent


async def test_an_object_that_no_pipeline_controls_is_nobodys_business(controller: Controller) -> None:
    foreign = Metadata(A, "s", "3", controller=Owner("apps/v1", "Deployment", "a", "u"))
    for metadata in (foreign, Metadata(A, "s", "3")):
        controller.object_changed(change(None, metadata, kind="RayService"))
    assert waiting(controller) == (0, 0)


async def test_nothing_is_kept_of_a_pipeline_that_was_deleted_during_the_work(controller: Controller) -> None:
    controller._queue.add(A)
    key = await controller._queue.take()
    controller.pipeline_changed(change(pipeline(1), None))
    controller._queue.done(key)
    controller._note(key, Outcome({SERVICE: "7"}))
    assert controller._left == {}
    assert waiting(controller) == (0, 0)


async def test_a_class_that_changes_has_every_pipeline_looked_at(controller: Controller) -> None:
    controller._pipelines[0].known[A] = pipeline(1)
    new = Change(names.CLASS_KIND, Key("", "usual"), None, Metadata(Key("", "usual"), "c", "4"), listed=True)
    controller.class_changed(new)
    assert waiting(controller) == (0, 0), "at a start every pipeline is looked at anyway"
    controller._classes.listed.set()
    controller.class_changed(new)
    assert waiting(controller) == (0, 1)


async def test_when_a_rollout_ends_the_next_pipeline_is_woken(controller: Controller) -> None:
    b, c = Key("ml", "b"), Key("ml", "c")
    for key in (A, b, c):
        controller._pipelines[0].known[key] = pipeline(1)
    for key in (c, b):
        controller._note(key, Outcome(rollout="waits"))
    assert waiting(controller) == (0, 0)
    controller._note(A, Outcome(rollout="runs"))
    assert waiting(controller) == (0, 0)
    controller._note(A, Outcome(rollout="ended"))
    assert b in controller._queue._routine
    assert c not in controller._queue._routine
    # It need not be changed after all: so the next one is woken.
    await controller._queue.take()
    controller._queue.done(b)
    controller._note(b, Outcome())
    assert c in controller._queue._routine


async def test_who_waits_for_a_pipeline_that_is_deleted_is_woken(controller: Controller) -> None:
    b = Key("ml", "b")
    controller._pipelines[0].known[b] = pipeline(1)
    controller._note(b, Outcome(rollout="waits"))
    controller.pipeline_changed(change(pipeline(1), None))
    assert b in controller._queue._routine
