"""Where a start is, since when, and what to look at if it takes longer than usual."""

import math
from typing import Final

from llmpipeline.api.status import StageStatus, Status
from llmpipeline.conditions import Reconciling, Verdict
from llmpipeline.kuberay.service import Observed
from llmpipeline.status.times import seconds_between

WAITING_FOR_KUBERAY: Final = "WaitingForKubeRay"
CREATING_PODS: Final = "CreatingPods"
SCHEDULING: Final = "Scheduling"
STARTING_CONTAINERS: Final = "StartingContainers"
JOINING_RAY: Final = "JoiningRay"
STARTING_APPS: Final = "StartingApps"

# Seconds that a stage usually takes at most, and what to look at if it takes longer. Of KubeRay the condition says it.
_USUAL: Final = {
    CREATING_PODS: (60, "check KubeRay's log and the events of the RayCluster"),
    SCHEDULING: (300, "check whether the cluster can add such a node"),
    STARTING_CONTAINERS: (600, "check the events of the Pods: a large image, or a slow registry or volume"),
    JOINING_RAY: (180, "check the log of the head Pod"),
    STARTING_APPS: (900, "check the logs of the replicas: a large model, a slow download, or too few CPUs"),
}
_COMING_UP: Final = frozenset(
    {Reconciling.INITIALIZING, Reconciling.UPGRADING, Reconciling.DEPLOYING, Reconciling.PODS_STARTING}
)


def stage_of(reconciling: Verdict, observed: Observed | None, previous: Status, now: str) -> StageStatus | None:
    """The stage; None if nothing starts.

    Args:
        reconciling: Whether something moves.
        observed: The RayService as it is.
        previous: The status so far, which has the time at which the stage began.
        now: The time, as RFC 3339.
    """
    name = _name(reconciling, observed)
    if not observed or not name:
        return None
    before = previous.stage
    since = before.since if before and before.name == name else now
    said = [observed.pods.summary] if observed.pods and observed.pods.total else []
    seconds, advice = _USUAL.get(name, (math.inf, ""))
    if (seconds_between(since, now) or 0.0) > seconds:
        said.append(f"It takes longer than the usual {_in_words(seconds)}: {advice}.")
    return StageStatus(name=name, since=since, message=" ".join(said) or None)


def _name(reconciling: Verdict, observed: Observed | None) -> str:
    if reconciling.reason == Reconciling.WAITING_FOR_KUBERAY:
        return WAITING_FOR_KUBERAY
    if not observed or reconciling.reason not in _COMING_UP:
        return ""
    pods = observed.pods
    if pods and pods.waiting:
        return SCHEDULING
    if pods and pods.running < pods.total:
        return STARTING_CONTAINERS
    if reconciling.reason == Reconciling.DEPLOYING or (observed.newest and not observed.is_short):
        return STARTING_APPS
    if pods is None:
        return STARTING_CONTAINERS
    return JOINING_RAY if pods.total else CREATING_PODS


def _in_words(seconds: float) -> str:
    return f"{seconds // 60:.0f} minutes" if seconds > 60 else "minute"
