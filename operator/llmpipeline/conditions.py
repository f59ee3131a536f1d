"""The conditions of a pipeline: their types, every reason that exists, and whether it makes the condition true.

A reason is the machine's half of a condition: alerts and scripts match on it, so none is ever renamed. Which of several
reasons wins is said in `status`, one chain for each type; docs/how-to/troubleshoot.md says what to do about each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a condition is as it is: one word for machines, and the truth that goes with it."""

    word: str
    truth: Truth

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition, before it has a time: the reason, and a message for people."""

    reason: Reason
    message: str

    @property
    def truth(self) -> Truth:
        """Whether the condition is true."""
        return self.reason.truth


class Accepted:
    """Whether the spec can work."""

    TYPE: ClassVar = "Accepted"
    VALID: ClassVar = Reason("Valid", "True")
    # The spec contradicts itself, or this operator does not know a field.
    INVALID_SPEC: ClassVar = Reason("InvalidSpec", "False")
    # A replica fits no Pod of any worker group.
    DOES_NOT_FIT: ClassVar = Reason("DoesNotFit", "False")
    # The class that the spec names does not exist, or the default class that the pipeline runs with is gone.
    CLASS_NOT_FOUND: ClassVar = Reason("ClassNotFound", "False")
    # The class contradicts itself, or this operator does not know a field of it.
    INVALID_CLASS: ClassVar = Reason("InvalidClass", "False")
    # More than one class is marked as default, and the spec names none.
    SEVERAL_DEFAULT_CLASSES: ClassVar = Reason("SeveralDefaultClasses", "False")
    # The operator may not read classes, and the spec needs one.
    CLASSES_UNREADABLE: ClassVar = Reason("ClassesUnreadable", "False")
    # The class does not allow an image of a Pod.
    IMAGE_NOT_ALLOWED: ClassVar = Reason("ImageNotAllowed", "False")


class Applied:
    """Whether KubeRay has what the spec asks for."""

    TYPE: ClassVar = "Applied"
    APPLIED: ClassVar = Reason("Applied", "True")
    # What the spec asks for is applied with the class as it was: its last change rolls clusters over, one by one.
    CLASS_ROLLOUT_WAITING: ClassVar = Reason("ClassRolloutWaiting", "True")
    # Nothing was sent: the RayService, if any, is as it was.
    NOT_ACCEPTED: ClassVar = Reason("NotAccepted", "False")
    # A RayService of this name belongs to somebody else.
    NAME_TAKEN: ClassVar = Reason("NameTaken", "False")
    # The API server rejected the RayService; the message is its own.
    REJECTED: ClassVar = Reason("Rejected", "False")
    # The pipeline asks for a network policy, and that could not be applied: so no Ray Pod may start.
    NETWORK_POLICY_FAILED: ClassVar = Reason("NetworkPolicyFailed", "False")
    # The operator may not write RayServices here.
    FORBIDDEN: ClassVar = Reason("Forbidden", "False")
    # There is no such resource as a RayService.
    KUBERAY_MISSING: ClassVar = Reason("KubeRayMissing", "False")
    # KubeRay has the RayService; a companion object was rejected.
    PARTLY_APPLIED: ClassVar = Reason("PartlyApplied", "False")
    # The RayService of a former pipeline of this name is still being deleted.
    TERMINATING: ClassVar = Reason("Terminating", "False")
    # The operator has a defect; its log has more.
    INTERNAL_ERROR: ClassVar = Reason("InternalError", "False")


class Reconciling:
    """Whether something is still moving. Tools that read kstatus (Flux, Helm) wait while it is true."""

    TYPE: ClassVar = "Reconciling"
    SETTLED: ClassVar = Reason("Settled", "False")
    # As of `Applied`, where something is still going on.
    TERMINATING: ClassVar = Reason("Terminating", "True")
    # The first Ray cluster comes up.
    INITIALIZING: ClassVar = Reason("Initializing", "True")
    # Every app runs, and Pods that a worker group should have at least do not yet.
    PODS_STARTING: ClassVar = Reason("PodsStarting", "True")
    # Apps change in place.
    DEPLOYING: ClassVar = Reason("Deploying", "True")
    # A new Ray cluster comes up next to the one that serves.
    UPGRADING: ClassVar = Reason("Upgrading", "True")
    # KubeRay has not looked at the newest RayService yet.
    WAITING_FOR_KUBERAY: ClassVar = Reason("WaitingForKubeRay", "True")
    # Everything is being taken down, as spec.suspend asks.
    SUSPENDING: ClassVar = Reason("Suspending", "True")
    # Nothing runs, as spec.suspend asks.
    SUSPENDED: ClassVar = Reason("Suspended", "False")
    # Somebody else suspends the RayService: Kueue, until it admits it.
    SUSPENDED_BY_OTHER: ClassVar = Reason("SuspendedByOther", "False")
    # Requests move back to the old cluster.
    ROLLING_BACK: ClassVar = Reason("RollingBack", "True")
    # Apps run, and the Gateway of incremental upgrades takes no requests yet.
    GATEWAY_NOT_READY: ClassVar = Reason("GatewayNotReady", "True")
    # Nothing moves until somebody acts: see the condition `Stalled`.
    STALLED: ClassVar = Reason("Stalled", "False")


class Stalled:
    """Whether what the spec asks for cannot come true until somebody acts. Tools that read kstatus then fail."""

    TYPE: ClassVar = "Stalled"
    NOT_STALLED: ClassVar = Reason("NotStalled", "False")
    # As of `Accepted` and `Applied`, where trying again would not help.
    INVALID_SPEC: ClassVar = Reason("InvalidSpec", "True")
    DOES_NOT_FIT: ClassVar = Reason("DoesNotFit", "True")
    IMAGE_NOT_ALLOWED: ClassVar = Reason("ImageNotAllowed", "True")
    NAME_TAKEN: ClassVar = Reason("NameTaken", "True")
    REJECTED: ClassVar = Reason("Rejected", "True")
    # KubeRay does not take the RayService that the API server took.
    INVALID_RAY_SERVICE: ClassVar = Reason("InvalidRayService", "True")
    # KubeRay no longer tries to bring the Ray cluster up.
    INITIALIZING_TIMEOUT: ClassVar = Reason("InitializingTimeout", "True")
    # Ray Serve no longer tries to start an app.
    APPS_FAILED: ClassVar = Reason("AppsFailed", "True")


class Available:
    """Whether requests are answered, perhaps still by the version before."""

    TYPE: ClassVar = "Available"
    APPS_RUNNING: ClassVar = Reason("AppsRunning", "True")
    # During an upgrade KubeRay does not look at the serving apps.
    SERVING_OLD_CLUSTER: ClassVar = Reason("ServingOldCluster", "True")
    # A change of an app failed, and Ray Serve goes on with its replicas from before.
    SERVING_OLD_VERSION: ClassVar = Reason("ServingOldVersion", "True")
    APPS_DEPLOYING: ClassVar = Reason("AppsDeploying", "Unknown")
    APPS_FAILED: ClassVar = Reason("AppsFailed", "False")
    NO_ENDPOINTS: ClassVar = Reason("NoEndpoints", "False")
    # Pods take requests, and the Gateway of incremental upgrades, through which alone they come, does not.
    GATEWAY_NOT_READY: ClassVar = Reason("GatewayNotReady", "False")
    # Ray Pods cannot be created, do not start or end: an image, a quota, a missing Secret, memory.
    PODS_FAILING: ClassVar = Reason("PodsFailing", "False")
    # Ray Pods wait for a node that can run them.
    PODS_PENDING: ClassVar = Reason("PodsPending", "False")
    NOT_APPLIED: ClassVar = Reason("NotApplied", "False")
    SUSPENDED: ClassVar = Reason("Suspended", "False")
    # Somebody else suspends the RayService: Kueue, until it admits it.
    SUSPENDED_BY_OTHER: ClassVar = Reason("SuspendedByOther", "False")


class Ready:
    """Whether requests are answered as the spec asks now.

    If it is not true, it has the reason and the message of the condition that matters most.
    """

    TYPE: ClassVar = "Ready"
    APPS_RUNNING: ClassVar = Reason("AppsRunning", "True")
    # They run now, but failed again and again a moment ago.
    APPS_UNSTEADY: ClassVar = Reason("AppsUnsteady", "False")


# As they stand in the status.
TYPES: Final = (Accepted, Applied, Stalled, Reconciling, Available, Ready)


def reasons() -> Iterator[Reason]:
    """Every reason of every type."""
    for kind in TYPES:
        yield from (value for value in vars(kind).values() if isinstance(value, Reason))
