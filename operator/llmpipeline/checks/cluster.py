"""What KubeRay would reject, or what would fail silently, in the parts of the spec that are about the Ray cluster.

Source: KubeRay 1.7's ValidateRayClusterSpec and ValidateRayServiceSpec, which report only after the resource was taken.
"""

from collections.abc import Iterator
from typing import Any, Final

from llmpipeline.api.base import parts
from llmpipeline.api.defaults import HEAD_CPU_MILLI
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.pods import PodSettings
from llmpipeline.api.quantity import milli
from llmpipeline.api.ray_cluster import Head
from llmpipeline.kuberay.conventions import HEAD_CONTAINER, WORKER_CONTAINER
from llmpipeline.names import LABEL_PIPELINE
from llmpipeline.problems import Path, Problem

# Variables of the Ray Pods that KubeRay refuses, or that would contradict a field, with what to use instead.
RESERVED: Final = {
    "RAY_REDIS_ADDRESS": "use head.faultTolerance.redis.address",
    "REDIS_PASSWORD": "use head.faultTolerance.redis.passwordSecretRef",
    "REDIS_USERNAME": "use head.faultTolerance.redis.username",
    "RAY_enable_autoscaler_v2": "leave it out: it is always autoscaler v2",
    "RAY_gcs_storage": "use head.faultTolerance.rocksdb",
    "RAY_gcs_storage_path": "use head.faultTolerance.rocksdb",
    "RAY_AUTH_MODE": "use ray.authentication",
    "RAY_AUTH_TOKEN": "leave it out: KubeRay makes the token",
    "RAY_AUTH_TOKEN_PATH": "leave it out: KubeRay makes the token",
    "RAY_SERVE_ENABLE_HA_PROXY": "use ray.performance",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "use ray.performance",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "use spec.drainSeconds",
}
_PARTS: Final = ("metadata", "spec")
# What the plan counts with, or KubeRay relies on, in the Ray container of a podTemplate.
_COUNTED: Final = {"resources": "resources and accelerator", "image": "ray.image"}
# Where KubeRay keeps the cluster state with rocksdb: the volume's name, and where it is mounted.
_STATE_VOLUME, _STATE_PATH = "gcs-storage", "/data/gcs"


def problems(spec: Spec) -> Iterator[Problem]:
    """All of them, each with the field that is to blame."""
    yield from _head(spec)
    yield from _state(spec)
    for v, variable in enumerate(spec.ray.env):
        if variable.name in RESERVED:
            where: Path = ("spec", "ray", "env", v, "name")
            yield Problem(where, f"{variable.name} is not for users to set", RESERVED[variable.name])
    for pods in parts(spec, PodSettings, ("spec",)):
        if pods.value.pod_template is not None:
            container = HEAD_CONTAINER if isinstance(pods.value, Head) else WORKER_CONTAINER
            yield from _template((*pods.at, "podTemplate"), container, pods.value.pod_template)
    yield from _routes(spec)


def _head(spec: Spec) -> Iterator[Problem]:
    head = spec.head
    if not head or not head.cpus_for_replicas:
        return
    wanted = head.resources.cpus if head.resources else None
    have = HEAD_CPU_MILLI if wanted is None else milli(wanted)
    if 1000 * head.cpus_for_replicas > have:
        message = f"the head has {have / 1000:g} CPUs, fewer than {head.cpus_for_replicas} for replicas"
        yield Problem(("spec", "head", "cpusForReplicas"), message, "raise head.resources.cpus")


def _state(spec: Spec) -> Iterator[Problem]:
    """What is in the way of the volume that KubeRay mounts in the head for rocksdb."""
    if not (spec.head and spec.head.fault_tolerance and spec.head.fault_tolerance.rocksdb):
        return
    cache, template = spec.ray.model_cache, spec.head.pod_template or {}
    if cache and cache.claim_name and cache.path == _STATE_PATH:
        yield Problem(
            ("spec", "ray", "modelCache", "path"), f"KubeRay keeps Ray's state in {_STATE_PATH}", "use another"
        )
    pod, here = template.get("spec"), ("spec", "head", "podTemplate", "spec")
    for v, volume in enumerate(_objects(pod, "volumes")):
        if volume.get("name") == _STATE_VOLUME:
            yield Problem(
                (*here, "volumes", v, "name"), f"KubeRay adds a volume {_STATE_VOLUME} there", "use another name"
            )
    for c, container in enumerate(_objects(pod, "containers")):
        mounts = _objects(container, "volumeMounts") if container.get("name") == HEAD_CONTAINER else ()
        for m, mount in enumerate(mounts):
            if mount.get("mountPath") == _STATE_PATH or mount.get("name") == _STATE_VOLUME:
                path = (*here, "containers", c, "volumeMounts", m)
                yield Problem(path, f"KubeRay mounts a volume {_STATE_VOLUME} at {_STATE_PATH} there", "use another")


def _objects(holder: Any, field: str) -> list[dict[str, Any]]:
    """The list in a field of a podTemplate, as far as it is one; what is no object in it counts as empty."""
    items = holder.get(field) if isinstance(holder, dict) else None
    return [item if isinstance(item, dict) else {} for item in items] if isinstance(items, list) else []


def _routes(spec: Spec) -> Iterator[Problem]:
    """KubeRay makes a Gateway and an HTTPRoute of its own for an incremental upgrade: only these see both clusters."""
    if not (spec.network and spec.upgrade and spec.upgrade.strategy == "Incremental"):
        return
    for field, given in (("httpRoute", spec.network.http_route), ("ingress", spec.network.ingress)):
        if given:
            message = "it would not see the new cluster during an incremental upgrade"
            remedy = f"leave it out; KubeRay makes the HTTPRoute, of Gateway class {_gateway_class(spec)}"
            yield Problem(("spec", "network", field), message, remedy)


def _gateway_class(spec: Spec) -> str:
    return spec.upgrade.incremental.gateway_class_name if spec.upgrade and spec.upgrade.incremental else ""


def _template(path: Path, ray_container: str, template: dict[str, Any]) -> Iterator[Problem]:
    for part in template:
        if part not in _PARTS:
            yield Problem((*path, part), "a Pod template has only metadata and spec", "move it into one of the two")
    for part in _PARTS:
        if not isinstance(template.get(part, {}), dict):
            yield Problem((*path, part), "must be an object")
            return
        if "$patch" in template.get(part, {}):
            yield Problem(
                (*path, part, "$patch"), f"{part} cannot be replaced or deleted as a whole", "leave $patch out"
            )
    yield from _directives(path, template)
    labels = template.get("metadata", {}).get("labels", {})
    if not isinstance(labels, dict) or "$patch" in labels or LABEL_PIPELINE in labels:
        yield Problem(
            (*path, "metadata", "labels"),
            f"the operator selects Pods by the label {LABEL_PIPELINE}",
            "set other labels only",
        )
    spec = template.get("spec", {})
    if spec.get("restartPolicy", "Never") != "Never":
        message = "Ray's autoscaler needs Pods that are never restarted in place"
        yield Problem((*path, "spec", "restartPolicy"), message, "leave it out")
    if "terminationGracePeriodSeconds" in spec:
        message = "the grace period must be longer than Ray's drain, so both follow from one number"
        yield Problem((*path, "spec", "terminationGracePeriodSeconds"), message, "use spec.drainSeconds")
    yield from _containers((*path, "spec", "containers"), ray_container, spec.get("containers", []))


def _directives(path: Path, value: Any) -> Iterator[Problem]:
    """The words of strategic merge patches that are not understood here."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key == "$patch" and item not in ("replace", "delete"):
            yield Problem((*path, key), "$patch is replace or delete")
        elif isinstance(key, str) and key.startswith("$") and key != "$patch":
            yield Problem((*path, key), "this directive is not supported here", "write out the fields to change")
        yield from _directives((*path, key), item)


def _containers(path: Path, ray_container: str, containers: Any) -> Iterator[Problem]:
    if not isinstance(containers, list) or not all(isinstance(item, dict) for item in containers):
        yield Problem(path, "must be a list of objects")
        return
    for c, container in enumerate(containers):
        if container.get("$patch") == "replace":
            yield Problem((*path, c, "$patch"), "it would replace the Ray container too", "leave $patch out")
            continue
        if not isinstance(container.get("name"), str):
            yield Problem((*path, c), "a container needs a name", f"the Ray container is {ray_container}")
        if container.get("name") != ray_container:
            continue
        if "$patch" in container:
            yield Problem((*path, c, "$patch"), "the Ray container cannot be replaced or deleted", "leave $patch out")
        for field, instead in _COUNTED.items():
            if field in container:
                yield Problem((*path, c, field), f"{field} of the Ray container has a field", f"use {instead}")
        yield from _environment((*path, c, "env"), container.get("env", []))


def _environment(path: Path, variables: Any) -> Iterator[Problem]:
    for v, variable in enumerate(variables if isinstance(variables, list) else ()):
        name = variable.get("name") if isinstance(variable, dict) else None
        if isinstance(name, str) and name in RESERVED:
            yield Problem((*path, v, "name"), f"{name} is not for users to set", RESERVED[name])
