"""A RayService and edits of it, for the tests of what an edit does."""

import copy
import json
from collections.abc import Callable
from typing import Any

Manifest = dict[str, Any]
Change = Callable[[Manifest], object]

TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists"}


def app(name: str = "chat", **changes: Any) -> Manifest:
    deployments = [{"name": "Model", "num_replicas": 1, "ray_actor_options": {"num_cpus": 1}}]
    return {"name": name, "route_prefix": f"/{name}", "import_path": "a:b", "deployments": deployments} | changes


def group(name: str = "l4", least: int = 1, most: int = 2, gpus: int = 2) -> Manifest:
    container = {
        "name": "ray-worker",
        "image": "ray",
        "resources": {"limits": {"memory": "8Gi", "nvidia.com/gpu": str(gpus)}, "requests": {"cpu": "1500m"}},
        "ports": [{"name": "serve", "containerPort": 8000, "protocol": "TCP"}],
    }
    return {
        "groupName": name,
        "replicas": least,
        "minReplicas": least,
        "maxReplicas": most,
        "numOfHosts": 1,
        "priority": 0,
        "scaleStrategy": {},
        "rayStartParams": {},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
    }


def rayservice(*groups: Manifest, **spec: Any) -> Manifest:
    head = {"rayStartParams": {}, "template": {"spec": {"containers": [{"name": "ray-head", "image": "ray"}]}}}
    cluster = {
        "rayVersion": "2.60.0",
        "enableInTreeAutoscaling": True,
        "headGroupSpec": head,
        "workerGroupSpecs": list(groups) or [group()],
    }
    config = json.dumps({"http_options": {"port": 8000}, "applications": [app()]})
    return {
        "metadata": {"name": "reviews", "namespace": "ml", "labels": {"app": "reviews"}},
        "spec": {"serveConfigV2": config, "rayClusterConfig": cluster} | spec,
    }


def edited(*edits: Change, base: Manifest | None = None) -> Manifest:
    made = copy.deepcopy(base or rayservice())
    for edit in edits:
        edit(made)
    return made


def cluster_of(made: Manifest) -> Manifest:
    found: Manifest = made["spec"]["rayClusterConfig"]
    return found


def sets(*path: str | int, to: Any) -> Change:
    """An edit of the Ray cluster."""

    def edit(made: Manifest) -> None:
        place: Any = cluster_of(made)
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = to

    return edit


def of_group(key: str, to: Any) -> Change:
    return sets("workerGroupSpecs", 0, key, to=to)


def of_pod(key: str, to: Any) -> Change:
    return sets("workerGroupSpecs", 0, "template", "spec", key, to=to)


def of_container(key: str, to: Any) -> Change:
    return sets("workerGroupSpecs", 0, "template", "spec", "containers", 0, key, to=to)


def of_spec(key: str, to: Any) -> Change:
    return lambda made: made["spec"].__setitem__(key, to)


def serves(*apps: Manifest, **settings: Any) -> Change:
    return of_spec(
        "serveConfigV2", json.dumps({"http_options": {"port": 8000}, **settings, "applications": list(apps)})
    )


def appends(*groups: Manifest) -> Change:
    return lambda made: cluster_of(made)["workerGroupSpecs"].extend(groups)


def of_metadata(key: str, to: Any) -> Change:
    return lambda made: made["metadata"].__setitem__(key, to)


def resources(**amounts: Any) -> Manifest:
    return {"limits": {"memory": "8Gi", "nvidia.com/gpu": "2"} | amounts, "requests": {"cpu": "1500m"}}


def as_kuberay_writes_it(made: Manifest) -> Manifest:
    """The zero values that KubeRay's Go types add when it writes a RayService back."""
    written = copy.deepcopy(made)
    cluster = cluster_of(written)
    for part in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        part["template"].setdefault("metadata", {})["creationTimestamp"] = None
        for container in part["template"]["spec"]["containers"]:
            container.setdefault("resources", {})
    for part in cluster["workerGroupSpecs"]:
        part |= {"numOfHosts": 1, "priority": 0, "scaleStrategy": {}}
    written["metadata"] |= {"resourceVersion": "7", "annotations": {"set-by": "somebody"}, "labels": {"app": "reviews"}}
    return written | {"status": {"numServeEndpoints": 2}}
