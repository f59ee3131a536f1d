"""What a change does to an upgrade that is still in progress, by KubeRay 1.7.0's `rayservice_controller.go`.

While it upgrades, KubeRay compares the spec with the cluster that comes up (`shouldPrepareNewCluster`). If they differ
it gives that cluster up. With incremental upgrades it first moves all requests back (`reconcileRollbackState`).
"""

from typing import Final

from llmpipeline.effect.outcome import DELETION_DELAY, Effect
from llmpipeline.kuberay.conventions import INCREMENTAL
from llmpipeline.kuberay.service import Observed, observe
from llmpipeline.names import Manifest

_IN_PROGRESS: Final = "An upgrade is in progress"


def during_upgrade(live: Manifest, new: Manifest, effect: Effect) -> str:
    """What becomes of the upgrade; empty if there is none, or the change does nothing to it.

    Args:
        live: The RayService as read.
        new: The RayService as rendered.
        effect: What the change does otherwise.
    """
    observed = observe(live)
    if not (observed.upgrading or observed.rolling_back):
        return ""
    rising, serving = observed.pending_cluster or "the new cluster", observed.active_cluster or "the old cluster"
    if effect.kind == "NewCluster":
        return _replaced(observed, new, rising, serving)
    if effect.kind == "AddWorkers":
        return f"{_IN_PROGRESS}: KubeRay adds the worker groups to {rising}, not to {serving}, which it leaves alone."
    if effect.kind == "LivePatch":
        return f"{_IN_PROGRESS}: the operator writes into the live Ray cluster when it has ended, and not before."
    if effect.kind == "InPlace" and live["spec"].get("serveConfigV2") != new["spec"].get("serveConfigV2"):
        target, other = (serving, rising) if observed.rolling_back else (rising, serving)
        return (
            f"{_IN_PROGRESS}: KubeRay gives the new Serve config to {target} alone, and {other} keeps the one it has."
        )
    if effect.kind in ("Suspend", "Delete"):
        return f"{_IN_PROGRESS}: KubeRay deletes both {serving} and {rising}."
    return f"{_IN_PROGRESS}, and goes on." if effect.kind == "Ignored" else ""


def _replaced(observed: Observed, new: Manifest, rising: str, serving: str) -> str:
    spec = new["spec"]
    delay = spec.get("rayClusterDeletionDelaySeconds")
    seconds = DELETION_DELAY if delay is None else delay
    if (spec.get("upgradeStrategy") or {}).get("type") == INCREMENTAL:
        first = "goes on moving" if observed.rolling_back else "first moves"
        return (
            f"{_IN_PROGRESS}; the new change replaces it: KubeRay {first} all requests back to {serving}, gives up "
            f"{rising}, which it deletes {seconds} s later, and only then creates the next cluster. If the change goes "
            f"back to what {serving} runs, it ends there."
        )
    return (
        f"{_IN_PROGRESS}; the new change replaces it: KubeRay gives up {rising} and creates another cluster at once. "
        f"{rising} is deleted {seconds} s later, so until then three clusters hold GPUs; {serving} answers. That is so "
        f"even if the change goes back to what {serving} runs."
    )
