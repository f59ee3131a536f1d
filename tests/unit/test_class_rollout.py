"""Whose turn it is when a class changes, from what stands in the cluster: also after a crash between two writes."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from llmpipeline import desired, names
from llmpipeline.api.status import Status
from llmpipeline.classes.choose import Classes, Used
from llmpipeline.classes.record import Record, read, written
from llmpipeline.cluster import class_rollout as rollout
from llmpipeline.desired import Desired
from llmpipeline.names import Key
from support.pipelines import Document, class_of, pipeline

OTHER = Key("ml", "other")


def with_images(tag: str, name: str = "usual") -> Document:
    images = {"cpu": f"registry.example/c:{tag}", "gpu": f"registry.example/g:{tag}"}
    return class_of(name, ray={"version": "2.60.0", "images": images})


def short(**spec: Any) -> Document:
    document = pipeline(metadata={"uid": "u", "generation": 1}, **spec)
    del document["spec"]["ray"]
    return document


def made(document: Document, *classes: Document) -> Desired:
    found = desired.compile(document, classes=Classes(classes))
    assert isinstance(found, Desired)
    return found


def live(*, mark: str = rollout.WAS_READY, seen: bool = True, upgrading: bool = False, ready: bool = True) -> Document:
    """A RayService with a mark, as KubeRay reports on it."""
    service = made(short(), with_images("v2")).service
    noted = {names.LABEL_ROLLOUT: mark} if mark else {}
    metadata = {**service["metadata"], "generation": 2, "annotations": {**noted, names.ANNOTATION_GENERATION: "1"}}
    metadata["labels"] = {**metadata["labels"], **({names.LABEL_ROLLOUT: "usual"} if mark else {})}
    said = {"Ready": ready, "UpgradeInProgress": upgrading}
    conditions = [{"type": kind, "status": str(it), "reason": "x", "message": ""} for kind, it in said.items()]
    status = {
        "observedGeneration": 2 if seen else 1,
        "conditions": conditions,
        "activeServiceStatus": {"rayClusterName": "a"},
        "pendingServiceStatus": {"rayClusterName": "b"} if upgrading else {},
    }
    return {**service, "metadata": metadata, "status": status}


def status(ready: str = "True", reason: str = "AppsRunning") -> Document:
    said = {"type": "Ready", "status": ready, "reason": reason, "message": "", "observedGeneration": 1}
    return {"conditions": [{**said, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


READY, FAILED = Status.of({"status": status()}), Status.of({"status": status("False", "AppsFailed")})


@pytest.mark.parametrize(
    ("service", "said", "kept"),
    [
        (live(), READY, False),
        (live(), FAILED, True),
        # A crash between the RayService and the status: what the status says is of before the change.
        (live(seen=False), READY, True),
        (live(upgrading=True), READY, True),
        (live(ready=False), READY, True),
        # One that was not Ready before need not become it; but its new cluster has to take over.
        (live(mark=rollout.WAS_NOT_READY), FAILED, False),
        (live(mark=rollout.WAS_NOT_READY, upgrading=True), FAILED, True),
        (live(mark=""), FAILED, False),
    ],
)
def test_until_when_others_wait(service: Document, said: Status, kept: bool) -> None:
    assert bool(rollout.kept_mark(service, made(short(), with_images("v2")), said)) == kept


def test_nobody_waits_for_what_is_suspended_or_of_another_class() -> None:
    assert rollout.kept_mark(live(), made(short(suspend=True), with_images("v2")), FAILED) == ""
    assert rollout.kept_mark(live(), made(short(), with_images("v2", "another")), FAILED) == ""
    assert rollout.kept_mark(live(), made(pipeline()), FAILED) == ""


def test_what_a_mark_says() -> None:
    assert rollout.new_mark(live(mark=""), READY) == rollout.WAS_READY
    assert rollout.new_mark(live(mark=""), FAILED) == rollout.WAS_NOT_READY
    # A second change, while the first one fails: it was Ready before both.
    assert rollout.new_mark(live(), FAILED) == rollout.WAS_READY


class Cluster:
    """A fake with one other pipeline that has a mark."""

    def __init__(self, service: Document | None, document: Any) -> None:
        self.service, self.document, self.asked = service, document, list[str]()

    async def metadata_pages(self, kind: str, namespace: str | None, label: str) -> AsyncIterator[Any]:
        self.asked.append(label)
        yield SimpleNamespace(items=[SimpleNamespace(key=OTHER)])

    async def rayservice(self, _key: Key) -> Document | None:
        return self.service

    async def pipeline(self, _key: Key) -> Any:
        return self.document


def other(**more: Any) -> Document:
    return {**short(), "status": status("False", "PodsFailing"), **more}


@pytest.mark.parametrize(
    ("service", "document", "reason"),
    [
        (live(), other(), "PodsFailing"),
        (live(seen=False), other(status=status()), "WaitingForKubeRay"),
        (live(seen=False), other(status={}), "WaitingForKubeRay"),
        (live(), other(status=status()), None),
        (live(), other(spec={"suspend": True}), None),
        (None, other(), None),  # deleted since
        (live(), None, None),  # left behind by a pipeline that was deleted
        (live(), other(metadata={"uid": "another", "name": "other", "namespace": "ml"}), None),
    ],
)
async def test_who_is_waited_for(service: Document | None, document: Any, reason: str | None) -> None:
    cluster: Any = Cluster(service, document)
    found = await rollout.blocker(cluster, "usual", Key("ml", "reviews"), (None,))
    assert (found.reason if found else None) == reason
    assert cluster.asked == [f"{names.LABEL_ROLLOUT}=usual"]
    assert await rollout.blocker(cluster, "usual", OTHER, ("ml", "search")) is None, "not for itself"


def test_what_rolls_over_is_the_change_of_the_class_alone() -> None:
    before, after = made(short(), with_images("v1")), made(short(), with_images("v2"))
    assert rollout.rolls_over(before, after, {})
    assert not rollout.rolls_over(before, before, {})
    own = pipeline(metadata={"uid": "u"})
    assert not rollout.rolls_over(made(own, with_images("v1")), made(own, with_images("v2")), {})


def test_whose_change_it_is() -> None:
    default, named, none = Record("a", True, {}), Record("a", False, {}), read("")
    assert rollout.is_of_administrators(default, Used("b", by_default=True)), "another default class"
    assert rollout.is_of_administrators(none, Used("a", by_default=True)), "the first default class"
    assert rollout.is_of_administrators(named, Used("a", by_default=False))
    assert not rollout.is_of_administrators(named, Used("b", by_default=False))
    assert not rollout.is_of_administrators(default, Used("a", by_default=False))


def test_a_default_class_that_is_gone_is_not_replaced_by_the_built_in_defaults() -> None:
    record = read(written(made(short(), with_images("v1")).used))
    rejected = rollout.without_its_class(record, made(short()), "")
    assert rejected
    assert rejected.problems[0].reason.word == "ClassNotFound"
    assert rollout.without_its_class(record, made(short(), with_images("v2", "new")), "") is None
    assert rollout.without_its_class(read(""), made(short()), "") is None
    unread = rollout.without_its_class(record, made(pipeline()), "forbidden")
    assert unread
    assert unread.problems[0].reason.word == "ClassesUnreadable"


def test_what_somebody_changed_on_a_rayservice_is_in_doubt() -> None:
    service = live()
    assert not rollout.is_in_doubt(made(short(), with_images("v2")), service)
    assert rollout.is_in_doubt(made(short(), with_images("v1")), service)
    service["metadata"]["annotations"][names.ANNOTATION_GENERATION] = "0"
    assert not rollout.is_in_doubt(made(short(), with_images("v1")), service), "the spec changed too"
