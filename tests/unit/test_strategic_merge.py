"""The overlay of a Pod template, against what `kubectl patch --type=strategic` makes of the same.

The expectations were derived from the Kubernetes API's merge keys and tried with kubectl 1.34; where ours differ, the
test says so.
"""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from llmpipeline.render.strategic_merge import merge
from support.strategies.overlays import overlays, trees

BASE = {
    "metadata": {"labels": {"app": "x"}, "finalizers": ["a/b"]},
    "spec": {
        "containers": [
            {
                "name": "ray-head",
                "image": "i",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "ports": [{"name": "gcs", "containerPort": 6379}, {"name": "serve", "containerPort": 8000}],
                "volumeMounts": [{"name": "cache", "mountPath": "/models"}],
            }
        ],
        "volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "c"}}],
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "imagePullSecrets": [{"name": "s"}],
        "securityContext": {"runAsUser": 1000, "fsGroup": 100},
        "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
    },
}
RAY: dict[str, Any] = BASE["spec"]["containers"][0]  # type: ignore[assignment]


def spec(overlay: dict[str, Any]) -> dict[str, Any]:
    return merge(BASE, {"spec": overlay})["spec"]


def ray(**fields: Any) -> dict[str, Any]:
    (container,) = spec({"containers": [{"name": "ray-head", **fields}]})["containers"]
    return container


@pytest.mark.parametrize(
    ("field", "overlay", "merged"),
    [
        ("hostNetwork", True, True),
        ("nodeSelector", {"a": "b"}, {"a": "b"}),
        ("securityContext", {"runAsUser": 7}, {"runAsUser": 7, "fsGroup": 100}),
        ("securityContext", {"runAsUser": None}, {"fsGroup": 100}),
        ("securityContext", {"$patch": "replace", "runAsUser": 7}, {"runAsUser": 7}),
        ("securityContext", {"$patch": "delete"}, {}),
        ("tolerations", [{"operator": "Exists"}], [{"operator": "Exists"}]),
        ("tolerations", [], []),
        ("imagePullSecrets", [{"name": "t"}], [{"name": "s"}, {"name": "t"}]),
        ("imagePullSecrets", [{"name": "s", "$patch": "delete"}], []),
        ("imagePullSecrets", [{"$patch": "replace"}, {"name": "t"}], [{"name": "t"}]),
        (
            "volumes",
            [{"name": "cache", "persistentVolumeClaim": None, "emptyDir": {}}],
            [{"name": "cache", "emptyDir": {}}],
        ),
        (
            # kubectl keeps both sources too, and the API server then refuses the Pod
            "volumes",
            [{"name": "cache", "emptyDir": {}}],
            [{"name": "cache", "persistentVolumeClaim": {"claimName": "c"}, "emptyDir": {}}],
        ),
        (
            "topologySpreadConstraints",
            [{"topologyKey": "zone", "maxSkew": 2}],
            [{"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}],
        ),
        ("initContainers", [{"name": "a", "image": None, "env": []}], [{"name": "a", "env": []}]),
    ],
)
def test_a_field_of_the_pod(field: str, overlay: Any, merged: Any) -> None:
    assert spec({field: overlay}) == {**BASE["spec"], field: merged}


@pytest.mark.parametrize(
    ("field", "overlay", "merged"),
    [
        ("command", ["a"], ["a"]),
        ("image", None, None),
        ("env", None, None),
        ("env", [{"name": "A", "value": "9"}], [{"name": "A", "value": "9"}, {"name": "B", "value": "2"}]),
        ("env", [{"name": "A", "$patch": "delete"}], [{"name": "B", "value": "2"}]),
        ("env", [{"$patch": "replace"}, {"name": "C"}], [{"name": "C"}]),
        ("env", [{"name": "C", "$patch": "replace"}, {"name": "D"}], [{"name": "D"}]),
        (
            "env",
            [{"name": "A", "value": None, "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
            [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}, {"name": "B", "value": "2"}],
        ),
        (
            "ports",
            [{"containerPort": 8000, "name": "http"}],
            [{"name": "gcs", "containerPort": 6379}, {"name": "http", "containerPort": 8000}],
        ),
        (
            "volumeMounts",
            [{"mountPath": "/models", "readOnly": True}, {"mountPath": "/a", "name": "a"}],
            [{"name": "cache", "mountPath": "/models", "readOnly": True}, {"mountPath": "/a", "name": "a"}],
        ),
    ],
)
def test_a_field_of_a_container(field: str, overlay: Any, merged: Any) -> None:
    wanted = {key: value for key, value in {**RAY, field: merged}.items() if value is not None}
    assert ray(**{field: overlay}) == wanted


def test_new_items_come_last() -> None:
    """kubectl puts them first. KubeRay takes the first container for Ray's, so it has to stay there."""
    containers = spec({"containers": [{"name": "side"}, {"name": "ray-head", "image": "j"}]})["containers"]
    assert [(item["name"], item.get("image")) for item in containers] == [("ray-head", "j"), ("side", None)]
    assert [item["name"] for item in ray(env=[{"name": "C"}, {"name": "A"}])["env"]] == ["A", "B", "C"]


def test_what_is_not_there_is_not_deleted() -> None:
    """kubectl may put such an item in instead."""
    assert ray(env=[{"name": "C", "$patch": "delete"}]) == RAY
    assert spec({"initContainers": [{"name": "a", "$patch": "delete"}]})["initContainers"] == []
    assert spec({"affinity": {"nodeAffinity": {"$patch": "delete"}}})["affinity"] == {"nodeAffinity": {}}


def test_metadata() -> None:
    merged = merge(BASE, {"metadata": {"labels": {"b": "c"}, "annotations": {"d": "e"}, "finalizers": ["c/d", "a/b"]}})
    assert merged["metadata"] == {
        "labels": {"app": "x", "b": "c"},
        "annotations": {"d": "e"},
        "finalizers": ["a/b", "c/d"],
    }


@pytest.mark.parametrize("base", [["x"], "x", {"a": 1}, None, [None, {"name": "a"}]])
def test_a_list_over_something_else_takes_its_place(base: Any) -> None:
    assert merge({"volumes": base}, {"volumes": [{"name": "a"}]}) == {"volumes": [{"name": "a"}]}


fuzzed = settings(
    max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@fuzzed
@given(overlays(trees()), overlays(trees()))
def test_neither_is_changed_and_an_empty_overlay_changes_nothing(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    given_base, given_overlay = copy.deepcopy(base), copy.deepcopy(overlay)
    merged = merge(base, overlay)
    assert (base, overlay) == (given_base, given_overlay)
    assert merge(merged, {}) == merged


@fuzzed
@given(overlays(trees()))
def test_no_directive_is_left_in_what_is_merged(overlay: dict[str, Any]) -> None:
    def directives(value: Any) -> bool:
        # What a list without a merge key holds is taken as it is.
        return isinstance(value, dict) and ("$patch" in value or any(directives(item) for item in value.values()))

    assert not directives(merge(BASE, overlay))
