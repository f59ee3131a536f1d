"""The patch that gives a live RayCluster what KubeRay does not carry over."""

import copy
from typing import Any

import pytest

from llmpipeline.effect import live_patch
from support.kuberay.rayservices import (
    TOLERATION,
    Change,
    Manifest,
    appends,
    as_kuberay_writes_it,
    cluster_of,
    edited,
    group,
    of_container,
    of_group,
    of_pod,
    rayservice,
    sets,
)


def live(made: Manifest) -> Manifest:
    """The RayCluster that KubeRay made of a RayService, scaled by the autoscaler since."""
    spec = copy.deepcopy(cluster_of(as_kuberay_writes_it(made)))
    for part in spec["workerGroupSpecs"]:
        part |= {"replicas": 2, "scaleStrategy": {"workersToDelete": []}}
    return {"metadata": {"name": "reviews-x", "resourceVersion": "42"}, "spec": spec}


VERSION = {"op": "test", "path": "/metadata/resourceVersion", "value": "42"}


def test_nothing_to_patch() -> None:
    assert live_patch(rayservice(), live(rayservice())) == []


def test_bounds_are_patched_and_replicas_are_not() -> None:
    made = rayservice(group("a"), group("b"))
    new = copy.deepcopy(made)
    cluster_of(new)["workerGroupSpecs"][1] |= {"replicas": 3, "minReplicas": 3, "maxReplicas": 7}
    assert live_patch(new, live(made)) == [
        VERSION,
        {"op": "test", "path": "/spec/workerGroupSpecs/1/groupName", "value": "b"},
        {"op": "replace", "path": "/spec/workerGroupSpecs/1/minReplicas", "value": 3},
        {"op": "replace", "path": "/spec/workerGroupSpecs/1/maxReplicas", "value": 7},
    ]


def test_a_maximum_below_the_running_replicas_is_patched_too() -> None:
    patch = live_patch(edited(of_group("maxReplicas", 1)), live(rayservice()))
    assert patch[-1] == {"op": "replace", "path": "/spec/workerGroupSpecs/0/maxReplicas", "value": 1}
    assert len(patch) == 3


@pytest.mark.parametrize(
    ("before", "after", "operation"),
    [
        (None, [TOLERATION], {"op": "add", "value": [TOLERATION]}),
        ([], [TOLERATION], {"op": "replace", "value": [TOLERATION]}),
        ([{"key": "old"}], [TOLERATION], {"op": "replace", "value": [TOLERATION]}),
        ([TOLERATION], None, {"op": "remove"}),
        ([TOLERATION], [], {"op": "remove"}),
    ],
)
@pytest.mark.parametrize("where", ["head", "worker"])
def test_tolerations(where: str, before: Any, after: Any, operation: Manifest) -> None:
    def with_tolerations(value: Any) -> Manifest:
        at = ("headGroupSpec",) if where == "head" else ("workerGroupSpecs", 0)
        return edited(*([] if value is None else [sets(*at, "template", "spec", "tolerations", to=value)]))

    patch = live_patch(with_tolerations(after), live(with_tolerations(before)))
    place = "headGroupSpec" if where == "head" else "workerGroupSpecs/0"
    assert patch[0] == VERSION
    assert patch[-1] == operation | {"path": f"/spec/{place}/template/spec/tolerations"}
    assert len(patch) == (2 if where == "head" else 3)


@pytest.mark.parametrize(
    "other",
    [
        of_container("image", "other"),
        appends(group("b")),
        of_group("groupName", "other"),
        sets("workerGroupSpecs", to=[]),
    ],
    ids=["image", "appended", "renamed", "removed"],
)
def test_nothing_is_patched_where_kuberay_is_about_to_act(other: Change) -> None:
    new = edited(of_group("maxReplicas", 9), of_pod("tolerations", [TOLERATION]), other)
    assert live_patch(new, live(rayservice())) == []


def test_the_patch_brings_the_cluster_to_the_rayservice() -> None:
    new = edited(of_group("maxReplicas", 9), of_group("minReplicas", 2), of_pod("tolerations", [TOLERATION]))
    cluster = live(rayservice())
    patched = apply(live_patch(new, cluster), cluster)
    assert live_patch(new, patched) == []
    assert patched["spec"]["workerGroupSpecs"][0]["replicas"] == 2


def apply(patch: list[Manifest], document: Manifest) -> Manifest:
    """RFC 6902, as far as the patches here go."""
    made: Manifest = copy.deepcopy(document)
    for operation in patch:
        *parents, last = [int(part) if part.isdigit() else part for part in operation["path"].split("/")[1:]]
        place: Any = made
        for part in parents:
            place = place[part]
        if operation["op"] == "test":
            assert place[last] == operation["value"]
        elif operation["op"] == "remove":
            del place[last]
        else:
            assert (operation["op"] == "add") == (last not in place)
            place[last] = operation["value"]
    return made
