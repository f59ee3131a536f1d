"""What KubeRay does not carry over to a live Ray cluster, as a patch of it."""

from typing import Any, Final

from llmpipeline.kuberay.cluster_spec import cluster_spec_for_hash
from llmpipeline.kuberay.normal_form import normal_form
from llmpipeline.names import Manifest

Operation = dict[str, Any]

_BOUNDS: Final = ("minReplicas", "maxReplicas")
_TOLERATIONS: Final = "tolerations"


def live_patch(rayservice: Manifest, cluster: Manifest) -> list[Operation]:
    """The JSON patch that gives the live RayCluster the bounds and tolerations of its RayService.

    `replicas` is Ray's autoscaler's. A bound on the wrong side of it does no harm: KubeRay keeps the count of Pods
    within the bounds, and so does the autoscaler, which reads them again in every round. If more Pods run than the
    new maximum, KubeRay deletes none while there is an autoscaler, and that stops the surplus at once: Pods that have
    not started first, then idle ones, then those with the least to do. Without an autoscaler KubeRay deletes any.

    Args:
        rayservice: As read or as rendered.
        cluster: The RayCluster that serves, as read.

    Returns:
        The operations; none where nothing differs, and none where anything else differs, for then KubeRay is about to
        bring the cluster to the RayService by itself, or to make a new one.
    """
    wanted = rayservice["spec"]["rayClusterConfig"]
    if cluster_spec_for_hash(wanted) != cluster_spec_for_hash(cluster["spec"]):
        return []
    head = _of_pods("/spec/headGroupSpec", wanted["headGroupSpec"], cluster["spec"]["headGroupSpec"])
    groups = zip(
        wanted.get("workerGroupSpecs") or [], cluster["spec"].get("workerGroupSpecs") or [], strict=True
    )  # of one length and order, for that is hashed
    workers = [operation for index, (group, live) in enumerate(groups) for operation in _of_group(index, group, live)]
    if not head and not workers:
        return []
    version = cluster["metadata"]["resourceVersion"]
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *head, *workers]


def _of_group(index: int, wanted: Manifest, live: Manifest) -> list[Operation]:
    path = f"/spec/workerGroupSpecs/{index}"
    normal, normal_live = (normal_form(group, ("workerGroupSpecs",)) for group in (wanted, live))
    bounds = [
        {"op": "replace" if bound in live else "add", "path": f"{path}/{bound}", "value": normal[bound]}
        for bound in _BOUNDS
        if normal[bound] != normal_live[bound]
    ]
    changes = bounds + _of_pods(path, wanted, live)
    if not changes:
        return []
    return [{"op": "test", "path": f"{path}/groupName", "value": live["groupName"]}, *changes]


def _of_pods(path: str, wanted: Manifest, live: Manifest) -> list[Operation]:
    """The operation on the tolerations of a group's Pods."""
    pod, live_pod = wanted["template"]["spec"], live["template"]["spec"]
    tolerations, live_tolerations = (normal_form(given.get(_TOLERATIONS) or []) for given in (pod, live_pod))
    if tolerations == live_tolerations:
        return []
    path = f"{path}/template/spec/{_TOLERATIONS}"
    if not tolerations:
        return [{"op": "remove", "path": path}]
    return [{"op": "replace" if _TOLERATIONS in live_pod else "add", "path": path, "value": pod[_TOLERATIONS]}]
