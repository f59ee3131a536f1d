"""What a change of the spec does: two RayServices in, what KubeRay makes of their difference out. Pure.

KubeRay's rules are read from its v1.7.0, `rayservice_controller.go` and `utils/util.go`.
"""

from llmpipeline.effect.change import Effect, Kind, changes, effect_of
from llmpipeline.effect.differences import Difference, differences
from llmpipeline.kuberay.cluster_spec import cluster_spec_for_hash, is_new_cluster
from llmpipeline.kuberay.live_patch import live_patch

__all__ = [
    "Difference",
    "Effect",
    "Kind",
    "changes",
    "cluster_spec_for_hash",
    "differences",
    "effect_of",
    "is_new_cluster",
    "live_patch",
]
