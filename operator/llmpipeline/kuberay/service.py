"""What a RayService says of itself, as a value. Pure.

`Ready` means only that there are endpoints, the applications of the serving cluster are not reported while a new one
comes up, and Ray's state strings are open-ended and therefore only data.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from llmpipeline.kuberay.conventions import INCREMENTAL
from llmpipeline.kuberay.gateway import GatewaySeen
from llmpipeline.kuberay.pods import Cause, PodsSeen
from llmpipeline.kuberay.suspension import suspended_by
from llmpipeline.kuberay.text import last_line, plain
from llmpipeline.kuberay.untrusted import dict_of
from llmpipeline.names import FIELD_MANAGER

RUNNING: Final = "RUNNING"
# Of a deployment.
HEALTHY: Final = "HEALTHY"
# Ray Serve's states of an application that will not get well by itself soon, and of one that it no longer starts.
DEPLOY_FAILED: Final = "DEPLOY_FAILED"
FAILED: Final = frozenset({DEPLOY_FAILED, "UNHEALTHY"})
# Reasons of KubeRay's Ready condition for a service that is, or is being, suspended.
SUSPENDING, SUSPENDED = "SuspendInProgress", "SuspendComplete"
SUSPENSION: Final = frozenset({SUSPENDING, SUSPENDED})
# And for one that KubeRay does not take, or no longer tries to bring up.
INVALID, GAVE_UP = "ValidationFailed", "InitializingTimeout"
# What Ray Serve says of a deployment whose new replicas do not start while the old ones run. Source:
# `DeploymentState._rolling_update_failed_message` of Ray 2.60.
_UPDATE_STOPPED: Final = "replicas of the previous version keep running"
# Why a head Pod is not ready, in the kubelet's and KubeRay's words: those of a Pod that only has not started yet.
_STARTING: Final = frozenset(
    {"", "Unknown", "ContainersNotReady", "ContainerCreating", "PodInitializing", "HeadPodNotFound"}
)


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """One Serve deployment, in Ray's words."""

    name: str
    state: str
    message: str
    is_update_stopped: bool = False


@dataclass(frozen=True, slots=True)
class AppState:
    """One Serve application, in Ray's words."""

    state: str
    message: str
    deployments: tuple[DeploymentState, ...]

    @property
    def serves_version_before(self) -> bool:
        """Whether it failed by an update alone: Ray Serve goes on with the replicas from before."""
        failed = [it for it in self.deployments if it.state != HEALTHY]
        return self.state in FAILED and bool(failed) and all(it.is_update_stopped for it in failed)


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
        fault: Why Pods of the cluster that is looked at do not start; empty if nothing is known against them.
        pods: The Pods of that cluster; None if they were not looked at.
        are_pods_hidden: The operator may not read Pods.
        is_short: A worker group has fewer running Pods than its minimum, though every app runs.
        routes: The route of every app, by name, as its Serve config has them.
        is_incremental: Upgrades move requests step by step, so they come through a Gateway and not through a Service.
        gateway: That Gateway; None if it was not looked at.
        pending_percent: The part of the requests that the cluster that comes up takes; None if KubeRay does not say.
        rolling_back: An incremental upgrade is being taken back.
        suspended_by: Who suspends it, if it is not this operator: Kueue or a field manager.
        updated_at: When KubeRay last changed the status, as RFC 3339; empty if it does not say.
        applied_at: When this operator last changed it, as RFC 3339; empty if the API server does not say.
    """

    seen: bool
    ready: bool
    upgrading: bool
    reason: str
    message: str
    active_cluster: str
    pending_cluster: str
    active: dict[str, AppState]
    pending: dict[str, AppState]
    routes: dict[str, str]
    is_incremental: bool = False
    gateway: GatewaySeen | None = None
    pending_percent: int | None = None
    rolling_back: bool = False
    suspended_by: str = ""
    updated_at: str = ""
    applied_at: str = ""
    fault: str = ""
    pods: PodsSeen | None = None
    are_pods_hidden: bool = False
    is_short: bool = False

    @property
    def is_failing(self) -> bool:
        """Whether Pods cannot be created, or do not work."""
        return bool(self.fault) or any(not cause.waits for cause in self._causes)

    @property
    def is_waiting(self) -> bool:
        """Whether Pods wait for a node."""
        return any(cause.waits for cause in self._causes)

    @property
    def gateway_fault(self) -> str:
        """Why the Gateway takes no requests, though Pods do; empty if nothing is known against it."""
        return self.gateway.fault if self.gateway and self.ready else ""

    @property
    def faults(self) -> tuple[str, ...]:
        """What keeps Pods from working, each as a sentence without its period."""
        return tuple(filter(None, (self.fault, *(cause.text for cause in self._causes))))

    @property
    def _causes(self) -> tuple[Cause, ...]:
        return self.pods.causes if self.pods else ()

    @property
    def looked_at(self) -> str:
        """The RayCluster whose Pods are of interest: the awaited one, or the one on which apps fail; or empty."""
        if self.awaited or self.reason in SUSPENSION:
            return self.awaited
        is_well = self.active and all(app.state == RUNNING for app in self.active.values())
        return "" if is_well else self.active_cluster

    @property
    def newest(self) -> dict[str, AppState]:
        """Applications of the newest cluster that reports any."""
        return self.pending or self.active

    @property
    def awaited(self) -> str:
        """The RayCluster that should take requests and does not yet; empty where there is none."""
        if (self.upgrading or not self.ready) and self.reason not in SUSPENSION:
            return self.pending_cluster or self.active_cluster
        return ""


def observe(rayservice: dict[str, Any]) -> Observed:
    """Reads a RayService as the API server returned it. Anything may be missing."""
    metadata, status = rayservice.get("metadata", {}), rayservice.get("status") or {}
    conditions = _conditions(rayservice)
    ready = conditions.get("Ready", {})
    active, pending = status.get("activeServiceStatus") or {}, status.get("pendingServiceStatus") or {}
    return Observed(
        seen=status.get("observedGeneration") == metadata.get("generation"),
        ready=ready.get("status") == "True",
        upgrading=conditions.get("UpgradeInProgress", {}).get("status") == "True",
        reason=ready.get("reason", ""),
        message=plain(ready.get("message")),
        active_cluster=active.get("rayClusterName", ""),
        pending_cluster=pending.get("rayClusterName", ""),
        active=_applications(active),
        pending=_applications(pending),
        routes=_routes(rayservice),
        is_incremental=dict_of(dict_of(rayservice.get("spec")).get("upgradeStrategy")).get("type") == INCREMENTAL,
        pending_percent=pending.get("trafficRoutedPercent"),
        rolling_back=conditions.get("RollbackInProgress", {}).get("status") == "True",
        suspended_by=suspended_by(rayservice),
        updated_at=str(status.get("lastUpdateTime") or ""),
        applied_at=_applied_at(metadata),
    )


def _applied_at(metadata: dict[str, Any]) -> str:
    applied = (it for it in metadata.get("managedFields") or () if not it.get("subresource"))
    return max((str(it.get("time") or "") for it in applied if it.get("manager") == FIELD_MANAGER), default="")


def refusal_of(raycluster: dict[str, Any]) -> str:
    """Why Pods of a RayCluster cannot be made, by its conditions; empty if they can.

    A RayService has a copy of them, which KubeRay 1.7.0 writes only when something else of the service changes.
    """
    refused = _conditions(raycluster).get("ReplicaFailure", {})
    return f"Pods cannot be created: {plain(refused.get('message'))}" if refused.get("status") == "True" else ""


def head_fault_of(raycluster: dict[str, Any]) -> str:
    """Why the head Pod of a RayCluster does not start, by its conditions: for an operator that may not read Pods."""
    head = _conditions(raycluster).get("HeadPodReady", {})
    if head.get("status") == "False" and head.get("reason", "") not in _STARTING:
        return f"the head Pod does not start: {plain(head['reason'], 64)}: {plain(head.get('message'))}"
    return ""


def _conditions(resource: dict[str, Any]) -> dict[str, dict[str, Any]]:
    status = resource.get("status") or {}
    return {item.get("type", ""): item for item in status.get("conditions") or ()}


def _routes(rayservice: dict[str, Any]) -> dict[str, str]:
    """What the Serve config says; nothing if somebody else has written it, and it is no JSON."""
    try:
        apps = json.loads(rayservice["spec"]["serveConfigV2"])["applications"]
        return {str(app["name"]): str(app["route_prefix"]) for app in apps}
    except (KeyError, TypeError, ValueError):
        return {}


def _applications(service: dict[str, Any]) -> dict[str, AppState]:
    return {
        name: AppState(plain(app.get("status"), 64), last_line(app.get("message")), _deployments(app))
        for name, app in sorted((service.get("applicationStatuses") or {}).items())
    }


def _deployments(app: dict[str, Any]) -> tuple[DeploymentState, ...]:
    return tuple(
        DeploymentState(
            name,
            plain(item.get("status"), 64),
            last_line(item.get("message")),
            _UPDATE_STOPPED in _own_words(item.get("message")),
        )
        for name, item in sorted((app.get("serveDeploymentStatuses") or {}).items())
    )


def _own_words(message: Any) -> str:
    """What Ray itself says in a message, without the error of the app, which may say anything."""
    return " ".join(str(message or "").partition("Error:")[0].split())
