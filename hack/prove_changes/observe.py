"""Reads a cluster: what there is of a pipeline, what its Pods request, and what the cluster is able to do."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmpipeline.api.quantity import ceil_units
from prove_changes.judge import ClusterSeen, PodSeen, Record, Taken
from prove_changes.rows import NAME, Abilities, milli_of
from support.e2e.kubectl import LLMP, CommandError, Kube, Manifest, conditions_of
from support.e2e.serving import replicas_at

_COMPANIONS: Final = "networkpolicies,poddisruptionbudgets,ingresses"
_OPTIONAL: Final = {
    "httproutes.gateway.networking.k8s.io": "httproutes",
    "podmonitors.monitoring.coreos.com": "podmonitors",
    "prometheusrules.monitoring.coreos.com": "prometheusrules",
}
_NODE_RESERVE: Final = 400  # what Pods of the system request on a node, in thousandths of a CPU
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_RAY_PODS: Final = "ray.io/cluster"


def abilities(kube: Kube) -> Abilities:
    """What the cluster has."""
    nodes = [node for node in kube.list("nodes") if not node["spec"].get("taints")]
    cpus = [milli_of(node["status"]["allocatable"]["cpu"]) - _NODE_RESERVE for node in nodes]
    classes = [it["metadata"].get("annotations", {}) for it in kube.list("storageclasses")]
    crds = _crds(kube)
    has_gateways = "gateways.gateway.networking.k8s.io" in crds
    gateways = kube.list("gatewayclasses") if has_gateways else ()
    return Abilities(
        node_cpu_milli=max(cpus, default=0),
        gateway=has_gateways,
        gateway_classes=frozenset(it["metadata"]["name"] for it in gateways),
        monitoring="podmonitors.monitoring.coreos.com" in crds,
        storage=any(said.get(_DEFAULT_CLASS) == "true" for said in classes),
    )


def kinds_beside(kube: Kube) -> str:
    """The kinds of companion objects that the cluster knows, as kubectl takes them."""
    crds = _crds(kube)
    return ",".join((_COMPANIONS, *(kind for name, kind in _OPTIONAL.items() if name in crds)))


def record(kube: Kube, namespace: str, companions: str) -> Record:
    """What there is of the pipeline now."""
    clusters = _alive(kube.list("rayclusters", namespace))
    pods = _alive(kube.list("pods", namespace, _RAY_PODS))
    return Record(
        clusters=tuple(_cluster(item) for item in clusters),
        pods={pod["metadata"]["uid"]: _pod(pod) for pod in pods},
        replicas=_replicas(kube, namespace, pods),
        service=_service(kube.get("rayservice", NAME, namespace)),
        companions=_companions(kube, namespace, companions),
    )


def taken(kube: Kube, namespace: str) -> Taken:
    """What the Ray Pods that are not finished request."""
    pods = [pod for pod in kube.list("pods", namespace, _RAY_PODS) if pod["status"].get("phase") in _RUNNING]
    wanted = [it.get("resources", {}).get("requests", {}) for pod in pods for it in pod["spec"]["containers"]]
    gpus = sum(ceil_units(count) for it in wanted for name, count in it.items() if name.startswith("nvidia.com/"))
    return Taken(gpus, sum(milli_of(it.get("cpu", "0")) for it in wanted))


def pods_leaving(kube: Kube, namespace: str) -> int:
    """Ray Pods that are being deleted: they still take what they request."""
    pods = kube.list("pods", namespace, _RAY_PODS)
    return len(pods) - len(_alive(pods))


_RUNNING: Final = ("Pending", "Running")


def is_settled(pipeline: Manifest | None, clusters: int) -> bool:
    """Whether a change is finished, or was rejected."""
    said = conditions_of(pipeline)
    if not pipeline or not said:
        return False
    if is_rejected(pipeline):
        return True
    if said["Reconciling"]["status"] != "False" or clusters > 1:
        return False
    if pipeline["spec"].get("suspend"):
        return said["Reconciling"]["reason"] == "Suspended" and not clusters
    return bool(said["Ready"]["status"] == "True")


def is_rejected(pipeline: Manifest | None) -> bool:
    """Whether the status says that the spec cannot work."""
    return conditions_of(pipeline).get("Accepted", {}).get("status") == "False"


def said_effect(kube: Kube, namespace: str) -> str:
    """The effect of the newest generation in the resource's status."""
    found = kube.get(LLMP, NAME, namespace) or {"metadata": {"generation": 0}}
    last = found.get("status", {}).get("lastEdit", {})
    return str(last["effect"]) if last.get("observedGeneration") == found["metadata"]["generation"] else ""


def _crds(kube: Kube) -> frozenset[str]:
    return frozenset(kube.kubectl("get", "crds", "-o", "name").replace(f"{_CRD}/", "").split())


_CRD: Final = "customresourcedefinition.apiextensions.k8s.io"


def _alive(items: Iterable[Manifest]) -> list[Manifest]:
    return [item for item in items if "deletionTimestamp" not in item["metadata"]]


def _cluster(item: Manifest) -> ClusterSeen:
    spec = item["spec"]
    groups = spec.get("workerGroupSpecs", [])
    bounds = {group["groupName"]: (group.get("minReplicas"), group.get("maxReplicas")) for group in groups}
    tolerations = [it["template"]["spec"].get("tolerations") or [] for it in (spec["headGroupSpec"], *groups)]
    names = tuple(group["groupName"] for group in groups)
    return ClusterSeen(item["metadata"]["uid"], names, json.dumps([bounds, tolerations], sort_keys=True))


def _pod(pod: Manifest) -> PodSeen:
    statuses = pod["status"].get("containerStatuses", [])
    return PodSeen(pod["metadata"]["name"], sum(it["restartCount"] for it in statuses))


def _replicas(kube: Kube, namespace: str, pods: Iterable[Manifest]) -> Mapping[str, frozenset[str]]:
    """As Ray Serve has them in the newest cluster; none if nothing runs."""
    heads = [pod for pod in pods if pod["metadata"]["labels"].get("ray.io/node-type") == "head"]
    if not heads:
        return {}
    newest = max(heads, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))["metadata"]["name"]
    try:
        found = replicas_at(kube, namespace, newest)
    except CommandError:  # once more: the dashboard may be busy
        found = replicas_at(kube, namespace, newest)
    return {name: frozenset(ids) for name, ids in found.items()}


def _service(service: Manifest | None) -> dict[str, str]:
    """Digests of what of a RayService changes apart."""
    if not service:
        return {}
    spec = service["spec"]
    others = {key: value for key, value in spec.items() if key not in ("rayClusterConfig", "serveConfigV2")}
    parts = {"cluster": spec.get("rayClusterConfig"), "serve": spec.get("serveConfigV2"), "others": others}
    return {part: _digest(value) for part, value in parts.items()}


def _companions(kube: Kube, namespace: str, kinds: str) -> dict[str, str]:
    """Of what stands beside the RayService and belongs to the pipeline."""
    return {
        f"{item['kind']} {item['metadata']['name']}": _digest([item["spec"], _said(item)])
        for item in _alive(kube.list(kinds, namespace))
        if any(owner["kind"] == "LLMPipeline" for owner in item["metadata"].get("ownerReferences", ()))
    }


def _said(item: Manifest) -> list[Any]:
    return [item["metadata"].get("labels"), item["metadata"].get("annotations")]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
