"""The names that other programs see: they are a promise and change only with the API version."""

from typing import Final

GROUP: Final = "serving.llmpipeline.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "LLMPipeline"
PLURAL: Final = "llmpipelines"
SINGULAR: Final = "llmpipeline"
SHORT_NAME: Final = "llmp"

RAY_GROUP: Final = "ray.io"
RAY_VERSION: Final = "v1"
RAY_API_VERSION: Final = f"{RAY_GROUP}/{RAY_VERSION}"
RAY_SERVICE_KIND: Final = "RayService"
RAY_SERVICE_PLURAL: Final = "rayservices"

RAY_CLUSTER_PLURAL: Final = "rayclusters"

# What is made around a RayService: API group and version, kind, plural. In the order in which rights are asked for.
SURROUNDINGS: Final = (
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ("networking.k8s.io/v1", "Ingress", "ingresses"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
    ("monitoring.coreos.com/v1", "PodMonitor", "podmonitors"),
)

# Field managers of server-side apply: what the operator owns in a RayService, and in the status of an LLMPipeline.
FIELD_MANAGER: Final = "llmpipeline-operator"
STATUS_FIELD_MANAGER: Final = "llmpipeline-operator-status"

LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_PIPELINE: Final = f"{GROUP}/pipeline"
# KubeRay's, on the Ray Pods: head or worker.
LABEL_NODE_TYPE: Final = "ray.io/node-type"
MANAGED_BY: Final = "llmpipeline-operator"

# Condition types. `Accepted`: the spec can work. `Applied`: KubeRay has it. `Progressing`: something still moves.
# `Ready`: every app answers.
ACCEPTED: Final = "Accepted"
APPLIED: Final = "Applied"
PROGRESSING: Final = "Progressing"
READY: Final = "Ready"


class Reason:
    """Reasons of conditions, each with what it says.

    A reason is the machine's half of a condition: alerts and scripts match on it, so none is ever renamed.
    """

    # Accepted
    VALID: Final = "Valid"
    INVALID_SPEC: Final = "InvalidSpec"  # the spec contradicts itself or this operator does not know a field
    DOES_NOT_FIT: Final = "DoesNotFit"  # a replica fits no Pod of any worker group
    # Applied
    APPLIED: Final = "Applied"
    NOT_ACCEPTED: Final = "NotAccepted"  # nothing was sent: the RayService, if any, is as it was
    NAME_TAKEN: Final = "NameTaken"  # a RayService of this name belongs to somebody else
    REFUSED: Final = "Refused"  # the API server refused the RayService; the message is its own
    FORBIDDEN: Final = "Forbidden"  # the operator may not write RayServices here
    KUBERAY_MISSING: Final = "KubeRayMissing"  # there is no such resource as a RayService
    PARTLY_APPLIED: Final = "PartlyApplied"  # KubeRay has the RayService; something around it was refused
    TERMINATING: Final = "Terminating"  # the RayService of a former pipeline of this name is still being deleted
    # Progressing
    SETTLED: Final = "Settled"
    INITIALIZING: Final = "Initializing"  # the first Ray cluster comes up
    DEPLOYING: Final = "Deploying"  # apps change in place
    UPGRADING: Final = "Upgrading"  # a new Ray cluster comes up beside the one that serves
    WAITING_FOR_KUBERAY: Final = "WaitingForKubeRay"  # KubeRay has not looked at the newest RayService yet
    SUSPENDING: Final = "Suspending"  # everything is being taken down, as spec.suspend asks
    SUSPENDED: Final = "Suspended"  # nothing runs, as spec.suspend asks
    ROLLING_BACK: Final = "RollingBack"  # requests move back to the old cluster
    STALLED: Final = "Stalled"  # KubeRay has given up; somebody has to act
    # Ready
    APPS_RUNNING: Final = "AppsRunning"
    SERVING_OLD_CLUSTER: Final = "ServingOldCluster"  # during an upgrade KubeRay does not look at the serving apps
    APPS_DEPLOYING: Final = "AppsDeploying"
    APPS_FAILED: Final = "AppsFailed"
    NO_ENDPOINTS: Final = "NoEndpoints"
    PODS_FAILING: Final = "PodsFailing"  # Ray Pods cannot be made or do not start: an image, a quota, a missing secret
    NOT_APPLIED: Final = "NotApplied"


SERVE_PORT: Final = 8000
