"""Makes a row's specs small enough for a test cluster: the same change, with smaller numbers and code that is there.

Pure. What the row changes stays; what it leaves open is filled with tiny Pods.
"""

import copy
from collections.abc import Iterator
from typing import Any, Final

from support.e2e.serving import code_volume
from support.effects.edits import Document, Row

PROBE: Final = "probe"
TINY: Final = "50m"
# Strings of the rows, and what stands for them in a cluster. The node of a graph asks the probe app of the same Pods.
_STRINGS: Final = {
    "http://a.example": f"http://127.0.0.1:8000/{PROBE}",
    "http://b.example": f"http://localhost:8000/{PROBE}",
    "math:floor": "prove_code:keep",
    "math:ceil": "prove_code:keep_too",
}
# Two labels that every node has.
_NODES: Final[dict[str, Document]] = {
    "fast": {"kubernetes.io/os": "linux"},
    "slow": {"kubernetes.io/arch": "amd64"},
}
# Rows of a batch that are about its model. To the others a function will do.
_OF_MODELS: Final = ("spec.apps.batch.classify", "spec.apps.batch.embed")
_CODE: Final = "my.code:"
_REPLICAS: Final = {4: 2, 5: 3, 8: 4, 9: 3, 12: 6, 16: 6}
_OF_DEPLOYMENT: Final[dict[str, dict[Any, Any]]] = {
    "cpus": {1: "100m", 6: "200m"},
    "memory": {"4Gi": "100Mi", "32Gi": "200Mi"},
}
_OF_HEAD: Final[dict[str, dict[Any, Any]]] = {
    "cpus": {2: "200m", 3: "300m"},
    "memory": {"8Gi": "2Gi", "16Gi": "2500Mi"},
}
_OF_WORKER: Final[dict[str, dict[Any, Any]]] = {**_OF_HEAD, "cpus": {2: "300m", 3: "400m", 8: "500m", 64: "500m"}}
_OF_AUTOSCALER: Final[dict[str, dict[Any, Any]]] = {"cpus": {"500m": "100m", 1: "200m"}, "memory": {}}
_HEAD: Final = {"cpus": "200m", "memory": "2Gi"}
_WORKER: Final = {"cpus": "300m", "memory": "2Gi"}
# The replicas of an app's row, and the probe, run in this one.
_ROOM: Final = {"cpus": "500m", "memory": "3Gi"}
# A head that is deleted always takes the whole time.
_DRAIN_SECONDS: Final = 10
_AUTOSCALER: Final = {"cpus": "50m", "memory": "400Mi"}


def fitted(row: Row, spec: Document, image: str) -> Document:
    """A spec of the row, small."""
    strings = {**_STRINGS, "registry.example/ray:2.60.0": image, "registry.example/ray:2.60.0-2": f"docker.io/{image}"}
    small: Document = _replaced(copy.deepcopy(spec), strings)
    _fit_ray(small, image)
    _fit_pods(small)
    _fit_workers(small, row)
    _fit_apps(small, row)
    small["upgrade"] = {"deletionDelaySeconds": 5, **small.get("upgrade", {})}
    if "gracefulShutdown" not in str([row.was, row.now]):
        small.setdefault("drainSeconds", _DRAIN_SECONDS)
    if scale := small.get("scale"):
        scale |= {key: _REPLICAS.get(value, value) for key, value in scale.items() if key.endswith("eplicas")}
    return small


def with_small_autoscaler(spec: Document) -> Document:
    """The spec with an autoscaler that takes little. It must have one already, else this turns it on."""
    given = spec.get("autoscaler", {})
    return {**spec, "autoscaler": {**given, "resources": {**_AUTOSCALER, **given.get("resources", {})}}}


def probe_only(image: str) -> Document:
    """A pipeline with nothing but the probe."""
    spec: Document = {"ray": {}, "apps": [_probe()]}
    _fit_ray(spec, image)
    _fit_pods(spec)
    spec["workers"] = [_one_group()]
    spec["upgrade"], spec["drainSeconds"] = {"deletionDelaySeconds": 5}, _DRAIN_SECONDS
    return spec


def body_for(app: Document) -> Document:
    """What a request to an app holds."""
    if "batch" in app:
        return {"input": "x"}
    return {"text": "This is a good day for all of us.", "title": "x"} if "graph" in app else {}


def _probe() -> Document:
    return {"name": PROBE, "hello": {"resources": {"cpus": TINY}}}


def _replaced(value: Any, strings: dict[str, str]) -> Any:
    """The value with other strings in it, and with labels that nodes have."""
    if isinstance(value, str):
        return strings.get(value, value)
    if isinstance(value, list):
        return [_replaced(item, strings) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"disk"}:
        return dict(_NODES[value["disk"]])
    return {key: _replaced(item, strings) for key, item in value.items()}


def _fit_ray(spec: Document, image: str) -> None:
    ray = spec["ray"]
    path = {"name": "PYTHONPATH", "value": "/code"}
    spec["ray"] = {"version": "2.60.0", "image": image, **ray, "env": [path, *ray.get("env", [])]}


def _fit_pods(spec: Document) -> None:
    """The head and all workers with the tests' own code in them."""
    head, defaults = spec.get("head", {}), spec.get("workerDefaults", {})
    room = {"cpus": 1, "memory": "4Gi"} if "cpusForReplicas" in head else {}
    spec["head"] = {
        **head,
        "resources": _mapped({**_HEAD, **room, **head.get("resources", {})}, _OF_HEAD),
        "podTemplate": _merged(code_volume("ray-head"), head.get("podTemplate", {})),
    }
    template = _merged(code_volume("ray-worker"), defaults.get("podTemplate", {}))
    spec["workerDefaults"] = {**defaults, "podTemplate": template}
    if resources := spec.get("autoscaler", {}).get("resources"):
        spec["autoscaler"]["resources"] = _mapped(resources, _OF_AUTOSCALER)


def _fit_workers(spec: Document, row: Row) -> None:
    """Groups that are given stay so, and a row that is not about them gets one that cannot grow."""
    if row.derived or (row.field.startswith("spec.scale") and "workers" not in spec):
        return
    if row.field.startswith(("spec.apps", "spec.scale")):
        accelerated = [group for group in spec.get("workers", ()) if "accelerator" in group]
        spec["workers"] = [_one_group(), *({**group, **_bounds(1, 1), "resources": _ROOM} for group in accelerated)]
        return
    spec["workers"] = [_small_group(group) for group in spec.get("workers", [_one_group()])]


def _one_group() -> Document:
    return {"name": "cpu", **_bounds(1, 1), "resources": dict(_ROOM)}


def _bounds(least: int, most: int) -> Document:
    return {"minReplicas": least, "maxReplicas": most}


def _small_group(group: Document) -> Document:
    """Up to four Pods become up to three. What differs still does."""
    bounds = {key: group[key] - 1 for key in ("minReplicas", "maxReplicas") if group.get(key, 0) > 2}
    return {**group, **bounds, "resources": _mapped({**_WORKER, **group.get("resources", {})}, _OF_WORKER)}


def _fit_apps(spec: Document, row: Row) -> None:
    needs_its_model = not row.field.startswith("spec.apps.batch.") or row.field.startswith(_OF_MODELS)
    for app in spec["apps"]:
        _own_code(app)
        if not needs_its_model and "classify" in app.get("batch", {}):
            del app["batch"]["classify"]
            app["batch"]["custom"] = {"importPath": "prove_code:batch_one"}
        for deployment in _deployments(app):
            _fit_deployment(deployment)
    spec["apps"].append(_probe())


def _deployments(app: Document) -> Iterator[Document]:
    """The blocks of an app that are deployments. One that the rows leave out is there then, with its defaults."""
    for kind in ("hello", "batch", "trafficSplit"):
        if kind in app:
            yield app[kind]
    if graph := app.get("graph"):
        yield from graph["nodes"]
        yield graph.setdefault("ingress", {})
    if custom := app.get("custom"):
        yield from custom.setdefault("deployments", [{"name": "One"}])


def _own_code(app: Document) -> None:
    """Code that is in the Pods."""
    nodes = app.get("graph", {}).get("nodes", [])
    places = [("app", app), ("batch", app.get("batch", {})), *(("node", node) for node in nodes)]
    for prefix, holder in places:
        code = holder.get("custom", {})
        if code.get("importPath", "").startswith(_CODE):
            code["importPath"] = code["importPath"].replace(_CODE, f"prove_code:{prefix}_")


def _fit_deployment(deployment: Document) -> None:
    deployment["resources"] = {"cpus": TINY, **_mapped(deployment.get("resources", {}), _OF_DEPLOYMENT)}
    for holder in (deployment, deployment.get("autoscaling", {})):
        for key in ("replicas", "minReplicas", "maxReplicas"):
            if key in holder:
                holder[key] = _REPLICAS.get(holder[key], holder[key])


def _mapped(resources: Document, smaller: dict[str, dict[Any, Any]]) -> Document:
    return {key: smaller.get(key, {}).get(value, value) for key, value in resources.items()}


def _merged(base: Any, patch: Any) -> Any:
    """Objects merge key by key, and all else is replaced."""
    if not (isinstance(base, dict) and isinstance(patch, dict)):
        return patch
    return {**base, **{key: _merged(base.get(key), value) for key, value in patch.items()}}
