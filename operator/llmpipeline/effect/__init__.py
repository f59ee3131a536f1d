"""What a change of the spec does: two RayServices in, what KubeRay makes of their difference out. Pure.

KubeRay's rules are read from its v1.7.0, `rayservice_controller.go` and `utils/util.go`.
"""

from llmpipeline.effect.change import changes, effect_of
from llmpipeline.effect.companions import Companion
from llmpipeline.effect.differences import Difference, differences
from llmpipeline.effect.outcome import Effect, Kind
from llmpipeline.effect.reasons import Reason, reasons
from llmpipeline.effect.suspension import effect_of_deletion
from llmpipeline.effect.verdict import WORDS, unwanted
from llmpipeline.kuberay.cluster_spec import cluster_spec_for_hash, is_new_cluster
from llmpipeline.kuberay.live_patch import live_patch

__all__ = [
    "WORDS",
    "Companion",
    "Difference",
    "Effect",
    "Kind",
    "Reason",
    "changes",
    "cluster_spec_for_hash",
    "differences",
    "effect_of",
    "effect_of_deletion",
    "is_new_cluster",
    "live_patch",
    "reasons",
    "unwanted",
]
