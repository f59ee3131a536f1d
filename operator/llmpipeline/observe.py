"""What a RayService says of itself, as a value. Pure.

KubeRay's words and traps are in its contract: `Ready` means only that there are endpoints, the applications of the
serving
cluster are not reported while a new one comes up, and Ray's state strings are open-ended and therefore only data.
"""

from dataclasses import dataclass
from typing import Any, Final

RUNNING: Final = "RUNNING"
# Of a deployment.
HEALTHY: Final = "HEALTHY"
# Ray Serve's states of an application that will not get well by itself soon.
FAILED: Final = frozenset({"DEPLOY_FAILED", "UNHEALTHY"})
# Reasons of KubeRay's Ready condition for a service that is, or is being, suspended.
SUSPENDING, SUSPENDED = "SuspendInProgress", "SuspendComplete"
SUSPENSION: Final = frozenset({SUSPENDING, SUSPENDED})
_MESSAGE_LENGTH: Final = 1000
# Why a head Pod is not ready, in the kubelet's and KubeRay's words: those of a Pod that only has not started yet.
_STARTING: Final = frozenset(
    {"", "Unknown", "ContainersNotReady", "ContainerCreating", "PodInitializing", "HeadPodNotFound"}
)
# pydantic ends its errors with a link; what was wrong stands before it.
_POINTER: Final = "For further information visit"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One Serve deployment, in Ray's words."""

    name: str
    state: str
    message: str


@dataclass(frozen=True, slots=True)
class Application:
    """One Serve application, in Ray's words."""

    state: str
    message: str
    deployments: tuple[Deployment, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """A RayService as read.

    Attributes:
        seen: KubeRay has looked at the newest generation.
        ready: KubeRay's own condition: there are endpoints.
        upgrading: A second cluster comes up beside the one that serves.
        reason: The reason of KubeRay's `Ready` condition.
        message: And its message.
        active_cluster: The RayCluster that serves.
        pending_cluster: The one that comes up.
        active: Applications of the serving cluster; empty while upgrading.
        pending: Applications of the cluster that comes up.
        fault: Why Pods of the cluster that is `awaited` do not start; empty where nothing is known against them.
        terminating: It is being deleted.
        rolling_back: An incremental upgrade is being taken back.
    """

    seen: bool
    ready: bool
    upgrading: bool
    reason: str
    message: str
    active_cluster: str
    pending_cluster: str
    active: dict[str, Application]
    pending: dict[str, Application]
    terminating: bool
    rolling_back: bool = False
    fault: str = ""

    @property
    def awaited(self) -> str:
        """The RayCluster that should take requests and does not yet; empty where there is none."""
        if (self.upgrading or not self.ready) and self.reason not in SUSPENSION:
            return self.pending_cluster or self.active_cluster
        return ""


def observe(rayservice: dict[str, Any]) -> Observed:
    """Reads a RayService as the API server returned it. Anything may be missing."""
    metadata, status = rayservice.get("metadata", {}), rayservice.get("status") or {}
    conditions = {item.get("type"): item for item in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    active, pending = status.get("activeServiceStatus") or {}, status.get("pendingServiceStatus") or {}
    return Observed(
        seen=status.get("observedGeneration") == metadata.get("generation"),
        ready=ready.get("status") == "True",
        upgrading=conditions.get("UpgradeInProgress", {}).get("status") == "True",
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
        active_cluster=active.get("rayClusterName", ""),
        pending_cluster=pending.get("rayClusterName", ""),
        active=_applications(active),
        pending=_applications(pending),
        terminating="deletionTimestamp" in metadata,
        rolling_back=conditions.get("RollbackInProgress", {}).get("status") == "True",
    )


def last_line(message: str) -> str:
    """The line of a traceback that says what happened: the last that is not empty."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and _POINTER not in line]
    return lines[-1][:_MESSAGE_LENGTH] if lines else ""


def fault_of(raycluster: dict[str, Any]) -> str:
    """Why Pods of a RayCluster do not start, by its conditions, so that no Pod has to be read for it; or nothing.

    A RayService has a copy of them, which KubeRay 1.7.0 writes only when something else of the service changes.
    """
    status = raycluster.get("status") or {}
    conditions = {item.get("type"): item for item in status.get("conditions") or ()}
    refused = conditions.get("ReplicaFailure", {})
    if refused.get("status") == "True":
        return f"Pods cannot be made: {refused.get('message', '')[:_MESSAGE_LENGTH]}"
    head = conditions.get("HeadPodReady", {})
    if head.get("status") == "False" and head.get("reason", "") not in _STARTING:
        return f"the head Pod does not start: {head['reason']}: {head.get('message', '')[:_MESSAGE_LENGTH]}"
    return ""


def _applications(service: dict[str, Any]) -> dict[str, Application]:
    return {
        name: Application(app.get("status", ""), last_line(app.get("message") or ""), _deployments(app))
        for name, app in sorted((service.get("applicationStatuses") or {}).items())
    }


def _deployments(app: dict[str, Any]) -> tuple[Deployment, ...]:
    return tuple(
        Deployment(name, item.get("status", ""), last_line(item.get("message") or ""))
        for name, item in sorted((app.get("serveDeploymentStatuses") or {}).items())
    )
