"""The rule by which KubeRay decides between the live Ray cluster and a new one, and the GPUs that a cluster takes."""

import re
from typing import Final

from llmpipeline.api.accelerator import PARTITION
from llmpipeline.api.quantity import Range, ceil_units
from llmpipeline.kuberay.normal_form import normal_form
from llmpipeline.names import Manifest

# What KubeRay leaves out of the hash. `scaleStrategy` holds workersToDelete alone.
_NOT_HASHED: Final = frozenset({"suspend", "upgradeStrategy"})
_NOT_HASHED_OF_GROUP: Final = frozenset({"maxReplicas", "minReplicas", "replicas", "scaleStrategy"})
_NOT_HASHED_OF_POD: Final = frozenset({"schedulingGates", "tolerations"})
# KubeRay's IsGPUResourceKey, and Google's TPU chips.
_ACCELERATOR: Final = re.compile(rf"gpu$|nvidia\.com/mig-{PARTITION}$|^google\.com/tpu$")


def normal_cluster(manifest: Manifest) -> Manifest:
    """The Ray cluster of a RayService, in normal form."""
    cluster: Manifest = normal_form(manifest["spec"]["rayClusterConfig"], ("rayClusterConfig",))
    return cluster


def cluster_spec_for_hash(spec: Manifest) -> Manifest:
    """What KubeRay hashes of a cluster: equal here is equal there.

    Args:
        spec: A RayService's `rayClusterConfig` or a RayCluster's `spec`, as rendered or as read.
    """
    return _hashed(normal_form(spec, ("rayClusterConfig",)))


def is_new_cluster(old: Manifest, new: Manifest) -> bool:
    """Whether KubeRay builds a new Ray cluster for a RayService, where its strategy lets it.

    It does for every difference in what is hashed, save worker groups that come after those that are there.
    """
    before, after = (cluster_spec_for_hash(manifest["spec"]["rayClusterConfig"]) for manifest in (old, new))
    count = len(before.get("workerGroupSpecs", []))
    first = after.get("workerGroupSpecs", [])[:count]
    return _groups_replaced(after, first) != before


def appended_groups(old: Manifest, new: Manifest) -> tuple[str, ...]:
    """The names of the worker groups that `new` has after those of `old`."""
    before, after = (manifest["spec"]["rayClusterConfig"].get("workerGroupSpecs") or [] for manifest in (old, new))
    return tuple(group["groupName"] for group in after[len(before) :])


def gpus(cluster: Manifest) -> Range:
    """GPUs with every worker group at its minimum and at its maximum number of Pods.

    Args:
        cluster: In normal form.
    """
    groups = cluster.get("workerGroupSpecs", [])
    return Range(
        sum(gpus_of_replica(group) * group["minReplicas"] for group in groups),
        sum(gpus_of_replica(group) * group["maxReplicas"] for group in groups),
    )


def _hashed(cluster: Manifest) -> Manifest:
    kept = _without(cluster, _NOT_HASHED)
    if "headGroupSpec" in kept:
        kept["headGroupSpec"] = _hashed_pods(kept["headGroupSpec"])
    groups = kept.get("workerGroupSpecs", [])
    return _groups_replaced(kept, [_hashed_pods(_without(group, _NOT_HASHED_OF_GROUP)) for group in groups])


def _groups_replaced(cluster: Manifest, groups: list[Manifest]) -> Manifest:
    others = _without(cluster, frozenset({"workerGroupSpecs"}))
    return others | {"workerGroupSpecs": groups} if groups else others


def _hashed_pods(group: Manifest) -> Manifest:
    template = group.get("template", {})
    pod = _without(template.get("spec", {}), _NOT_HASHED_OF_POD)
    return group | {"template": template | {"spec": pod}}


def _without(given: Manifest, keys: frozenset[str]) -> Manifest:
    return {key: value for key, value in given.items() if key not in keys}


def gpus_of_replica(group: Manifest) -> int:
    """GPUs of one replica of a worker group: of all Pods that it is."""
    if group.get("suspend"):
        return 0
    containers = group.get("template", {}).get("spec", {}).get("containers", [])
    limits = containers[0].get("resources", {}).get("limits", {}) if containers else {}
    of_pod = sum(ceil_units(count) for name, count in limits.items() if _ACCELERATOR.search(name))
    return of_pod * int(group["numOfHosts"])
