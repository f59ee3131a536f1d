"""The rules by which KubeRay 1.7.0 rejects a RayService that its CRD lets pass, in Python.

Source: ValidateRayServiceMetadata, ValidateRayServiceSpec, ValidateRayClusterSpec and ValidateClusterUpgradeOptions in
ray-operator/controllers/ray/utils/validation.go. Left out is what needs fields that we never render: history server,
TLS, KubeRay's own network policy, Kubernetes token authentication.
"""

import re
from collections.abc import Iterator
from typing import Any

RayService = dict[str, Any]

LONGEST_NAME = 47
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# The first component of a version may have no leading zero (k8s.io/apimachinery, version.ParseGeneric).
_VERSION = re.compile(r"v?((?:0|[1-9][0-9]*)\.[0-9]+)(\D.*)?")
_LABEL_NAME = re.compile(r"([-A-Za-z0-9.]+/)?[A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?)?")
_AUTOSCALER_SWITCH = "RAY_enable_autoscaler_v2"
_STORAGE = {"volume": "gcs-storage", "path": "/data/gcs", "variables": ("RAY_gcs_storage", "RAY_gcs_storage_path")}


def rejections(service: RayService) -> Iterator[str]:
    """What KubeRay has against it, with the gate GCSFaultToleranceEmbeddedStorage on."""
    yield from _metadata(service["metadata"])
    spec = service["spec"]
    cluster = spec["rayClusterConfig"]
    annotations = service["metadata"].get("annotations", {})
    yield from _groups(cluster)
    containers = cluster["headGroupSpec"]["template"]["spec"].get("containers", [])
    if containers:
        yield from _fault_tolerance(cluster, containers[0], annotations)
        yield from _autoscaler(cluster, containers[0])
    if cluster.get("authOptions", {}).get("mode") == "token":
        yield from _version(cluster, (2, 52), "token authentication")
    if cluster["headGroupSpec"].get("headService", {}).get("metadata", {}).get("name"):
        yield "the head's Service may not be named"
    yield from _upgrade(spec)


def _metadata(metadata: dict[str, Any]) -> Iterator[str]:
    name = metadata["name"]
    if len(name) > LONGEST_NAME or not _DNS_1035.fullmatch(name):
        yield f"name {name!r}"
    timeout = metadata.get("annotations", {}).get("ray.io/initializing-timeout", "1")
    if not re.fullmatch(r"0*[1-9][0-9]*|([0-9.]*[1-9][0-9.]*(ns|us|ms|s|m|h))+|", timeout):
        yield f"ray.io/initializing-timeout {timeout!r}"


def _version(cluster: RayService, least: tuple[int, int], what: str) -> Iterator[str]:
    version = _VERSION.fullmatch(cluster.get("rayVersion", ""))
    if not version:
        yield f"{what} needs a Ray version, not {cluster.get('rayVersion')!r}"
    elif tuple(int(part) for part in version[1].split(".")) < least:
        yield f"{what} needs Ray {least}"


def _variables(container: dict[str, Any]) -> dict[str, str]:
    """The first of each name counts."""
    return {item.get("name", ""): item.get("value", "") for item in reversed(container.get("env") or [])}


def _is_autoscaled(cluster: RayService) -> bool:
    return cluster.get("enableInTreeAutoscaling") is True


def _is_version_2(cluster: RayService) -> bool:
    return bool(cluster.get("autoscalerOptions", {}).get("version") == "v2")


def _groups(cluster: RayService) -> Iterator[str]:
    head = cluster["headGroupSpec"]
    for name, group in [("head", head), *((item["groupName"], item) for item in cluster["workerGroupSpecs"])]:
        if not group["template"]["spec"].get("containers"):
            yield f"{name}: no container"
        parameters = group.get("rayStartParams", {})
        if group.get("resources") and {"num-cpus", "num-gpus", "memory", "resources"} & parameters.keys():
            yield f"{name}: resources in two places"
        if "labels" in parameters:
            yield f"{name}: labels in rayStartParams"
        for key, value in group.get("labels", {}).items():
            if not _LABEL_NAME.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                yield f"{name}: label {key}"
    switch = _variables((head["template"]["spec"].get("containers") or [{}])[0]).get(_AUTOSCALER_SWITCH)
    for group in cluster["workerGroupSpecs"]:
        yield from _worker(cluster, group, _is_version_2(cluster) or switch in ("1", "true"))


def _worker(cluster: RayService, group: dict[str, Any], version_2: bool) -> Iterator[str]:
    name, least, most = group["groupName"], group.get("minReplicas"), group.get("maxReplicas")
    if not _is_autoscaled(cluster) and None in (least, most):
        yield f"{name}: without the autoscaler both bounds are needed"
    if (least or 0) < 0 or (most or 0) < 0 or (least is not None and most is not None and least > most):
        yield f"{name}: bounds {least} to {most}"
    idle = group.get("idleTimeoutSeconds")
    if idle is not None and (idle < 0 or not version_2):
        yield f"{name}: idleTimeoutSeconds {idle} needs autoscaler v2"
    if group.get("priority"):
        yield from _version(cluster, (2, 56), f"{name}: priority")
        if not version_2:
            yield f"{name}: priority needs autoscaler v2"
    if group.get("suspend") and _is_autoscaled(cluster):
        yield f"{name}: suspended under the autoscaler"


def _fault_tolerance(cluster: RayService, head: dict[str, Any], annotations: dict[str, str]) -> Iterator[str]:
    options, variables = cluster.get("gcsFaultToleranceOptions"), _variables(head)
    parameters = cluster["headGroupSpec"].get("rayStartParams", {})
    if "REDIS_USERNAME" in variables or parameters.get("redis-username"):
        yield "a Redis user outside gcsFaultToleranceOptions"
    if options is None:
        if "RAY_REDIS_ADDRESS" in variables and annotations.get("ray.io/ft-enabled", "").lower() != "true":
            yield "RAY_REDIS_ADDRESS without gcsFaultToleranceOptions"
        return
    if annotations.get("ray.io/ft-enabled") or annotations.get("ray.io/external-storage-namespace"):
        yield "an annotation beside gcsFaultToleranceOptions"
    if {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD"} & variables.keys() or parameters.get("redis-password"):
        yield "Redis settings beside gcsFaultToleranceOptions"
    if options.get("backend", "redis") != "rocksdb":
        if "storage" in options:
            yield "storage is for rocksdb"
        return
    yield from _rocksdb(options, variables, head, cluster["headGroupSpec"]["template"]["spec"])


def _rocksdb(options: RayService, variables: dict[str, str], head: RayService, pod: RayService) -> Iterator[str]:
    if {"redisAddress", "redisUsername", "redisPassword", "externalStorageNamespace"} & options.keys():
        yield "Redis settings with rocksdb"
    storage = options.get("storage", {})
    if storage.get("claimName") and {"size", "storageClassName", "accessModes"} & storage.keys():
        yield "a claim of one's own takes neither size, storage class nor access modes"
    if any(name in variables for name in _STORAGE["variables"]):
        yield "variables that KubeRay sets with rocksdb"
    mounts = [(mount.get("name"), mount.get("mountPath")) for mount in head.get("volumeMounts") or []]
    if any(name == _STORAGE["volume"] or path == _STORAGE["path"] for name, path in mounts):
        yield "a mount where KubeRay mounts the rocksdb volume"
    if any(volume.get("name") == _STORAGE["volume"] for volume in pod.get("volumes") or []):
        yield "a volume of the name that KubeRay gives the rocksdb volume"


def _autoscaler(cluster: RayService, head: dict[str, Any]) -> Iterator[str]:
    options, switch = cluster.get("autoscalerOptions", {}), _variables(head).get(_AUTOSCALER_SWITCH)
    if options.get("idleTimeoutSeconds", 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds"
    if not _is_autoscaled(cluster):
        if switch in ("1", "true"):
            yield "autoscaler v2 switched on without an autoscaler"
        return
    if switch is not None and "version" in options:
        yield "the autoscaler's version in two places"
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    if _is_version_2(cluster) and any(
        group["template"]["spec"].get("restartPolicy") not in (None, "", "Never") for group in groups
    ):
        yield "autoscaler v2 needs Pods that are never restarted"


def _upgrade(spec: RayService) -> Iterator[str]:
    if spec.get("rayClusterDeletionDelaySeconds", 0) < 0:
        yield "rayClusterDeletionDelaySeconds"
    strategy = spec.get("upgradeStrategy", {})
    kind = strategy.get("type", "NewCluster")
    if kind not in ("None", "NewCluster", "NewClusterWithIncrementalUpgrade"):
        yield f"upgrade strategy {kind}"
    if kind != "NewClusterWithIncrementalUpgrade":
        return
    if not _is_autoscaled(spec["rayClusterConfig"]):
        yield "an incremental upgrade needs the autoscaler"
    steps = strategy.get("clusterUpgradeOptions") or {}
    if not 0 <= steps.get("stepSizePercent", -1) <= steps.get("maxSurgePercent", 100) <= 100:
        yield "the percentages of an incremental upgrade"
    if steps.get("intervalSeconds", 0) <= 0 or not steps.get("gatewayClassName"):
        yield "an incremental upgrade needs an interval and a Gateway class"
