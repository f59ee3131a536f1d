"""What an edit does: two RayServices in, what KubeRay makes of the difference out. Pure.

KubeRay's rules are read from its v1.7.0, `rayservice_controller.go` and `utils/util.go`.
"""

from llmpipeline.effect.cluster_spec import cluster_spec_for_hash, is_new_cluster
from llmpipeline.effect.differences import Difference, differences
from llmpipeline.effect.edit import Effect, Kind, changes, effect_of
from llmpipeline.effect.live_patch import live_patch

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
