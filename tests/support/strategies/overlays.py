"""Overlays of Pod templates made at random: such as people write, and trees of the words that they are made of."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Overlay = dict[str, Any]

_NAMES = st.sampled_from(["ray-head", "ray-worker", "sidecar", "other"])
_DIRECTIVES = st.sampled_from(["replace", "delete", "merge", "retain", None, 1])
_KEYS = st.sampled_from([
    "metadata", "spec", "containers", "initContainers", "env", "name", "value", "volumes", "volumeMounts", "mountPath",
    "ports", "containerPort", "labels", "annotations", "tolerations", "affinity", "nodeSelector", "securityContext",
    "restartPolicy", "topologySpreadConstraints", "topologyKey", "imagePullSecrets", "hostAliases", "ip", "$patch",
    "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "finalizers", "resources",
])  # fmt: skip
_LEAVES = st.sampled_from([
    "ray-head", "ray-worker", "sidecar", "model-cache", "delete", "replace", "Never", "Always", "HF_TOKEN",
    "RAY_REDIS_ADDRESS", "/models", 8000, 8265, 0, True, None, 1.5, "",
])  # fmt: skip


def _named(more: dict[str, SearchStrategy[Any]], key: str = "name") -> SearchStrategy[list[Overlay]]:
    """A list of objects told apart by a key, each with some of these fields, rarely with a directive."""
    keys = {"name": _NAMES, "mountPath": st.sampled_from(["/models", "/a"]), "containerPort": st.integers(1, 9000)}
    plain = st.fixed_dictionaries({key: keys[key]}, optional=more)
    told = st.fixed_dictionaries({key: keys[key], "$patch": _DIRECTIVES}, optional=more)
    return st.lists(st.one_of(plain, plain, plain, told), max_size=3)


def trees() -> SearchStrategy[Any]:
    """Values of any shape, of the words that Pod templates are made of."""
    return st.recursive(
        _LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
        max_leaves=12,
    )


def plausible(free: SearchStrategy[Any]) -> SearchStrategy[Overlay]:
    """Overlays as people write them; `free` is what annotations and the like may hold."""
    texts = st.dictionaries(st.sampled_from(["a", "b", "ray.io/ft-enabled"]), st.sampled_from(["x", "true"]))
    variables = _named({"value": st.sampled_from(["1", "a"])}) | st.just([{"name": "REDIS_PASSWORD", "value": "x"}])
    mounts = _named({"name": _NAMES, "readOnly": st.booleans()}, key="mountPath")
    containers = _named(
        {
            "image": st.just("busybox"),
            "command": st.lists(st.sampled_from(["sleep", "1"]), max_size=2),
            "env": variables,
            "volumeMounts": mounts,
            "ports": _named({"name": st.sampled_from(["a", "b"])}, key="containerPort"),
        }
    )
    metadata = st.fixed_dictionaries({}, optional={"labels": texts | st.none(), "annotations": texts})
    spec = st.fixed_dictionaries(
        {},
        optional={
            "containers": containers,
            "initContainers": containers,
            "volumes": _named({"emptyDir": st.just({})}),
            "tolerations": st.lists(st.fixed_dictionaries({"operator": st.just("Exists")}), max_size=2),
            "nodeSelector": texts | st.none(),
            "affinity": st.fixed_dictionaries({"nodeAffinity": st.none() | free}) | st.none(),
            "priorityClassName": st.sampled_from(["high", None]),
            "restartPolicy": st.sampled_from(["Never", "Always", None]),
            "securityContext": st.sampled_from([{"$patch": "replace"}, {"$patch": "delete"}, {"runAsUser": 7}, None]),
            "$patch": _DIRECTIVES,
        },
    )
    return st.fixed_dictionaries({}, optional={"metadata": metadata, "spec": spec})


def overlays(free: SearchStrategy[Any]) -> SearchStrategy[Overlay]:
    """Either kind."""
    wild = st.dictionaries(st.sampled_from(["metadata", "spec"]) | _KEYS, trees(), max_size=3)
    return st.one_of(plausible(free), plausible(free), wild)
