"""The names that other programs see: they are a promise and change only with the API version."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

GROUP: Final = "serving.llmpipeline.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "LLMPipeline"
PLURAL: Final = "llmpipelines"
SINGULAR: Final = "llmpipeline"
SHORT_NAME: Final = "llmp"
# KubeRay appends to the name of a RayService and uses the result as a label: source, its validation of RayService
# names.
LONGEST_NAME: Final = 47

CLASS_KIND: Final = "LLMPipelineClass"
CLASS_PLURAL: Final = "llmpipelineclasses"
CLASS_SINGULAR: Final = "llmpipelineclass"
CLASS_SHORT_NAME: Final = "llmpc"

RAY_GROUP: Final = "ray.io"
RAY_VERSION: Final = "v1"
RAY_API_VERSION: Final = f"{RAY_GROUP}/{RAY_VERSION}"
RAY_SERVICE_KIND: Final = "RayService"
RAY_SERVICE_PLURAL: Final = "rayservices"
RAY_CLUSTER_KIND: Final = "RayCluster"
RAY_CLUSTER_PLURAL: Final = "rayclusters"
POD_KIND: Final = "Pod"
GATEWAY_VERSION: Final = "gateway.networking.k8s.io/v1"
GATEWAY_KIND: Final = "Gateway"
ROUTE_KIND: Final = "HTTPRoute"

# An object of Kubernetes as JSON has it.
Manifest = dict[str, Any]

# The companion objects of a RayService: API group and version, kind, plural, in the order of `rights`.
COMPANIONS: Final = (
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ("networking.k8s.io/v1", "Ingress", "ingresses"),
    (GATEWAY_VERSION, ROUTE_KIND, "httproutes"),
    ("monitoring.coreos.com/v1", "PodMonitor", "podmonitors"),
    ("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules"),
)

# Field managers of server-side apply: what the operator owns in a RayService, and in the status of an LLMPipeline.
FIELD_MANAGER: Final = "llmpipeline-operator"
STATUS_FIELD_MANAGER: Final = "llmpipeline-operator-status"

LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_PIPELINE: Final = f"{GROUP}/pipeline"
MANAGED_BY: Final = "llmpipeline-operator"

# On what the operator makes: a digest of the manifest that was applied. On a RayService also the generation of the
# pipeline that it came from, whether all companion objects are as that asks, and what the last change of the spec did.
ANNOTATION_DIGEST: Final = f"{GROUP}/digest"
ANNOTATION_GENERATION: Final = f"{GROUP}/generation"
ANNOTATION_COMPLETE: Final = f"{GROUP}/complete"
ANNOTATION_LAST_EDIT: Final = f"{GROUP}/last-edit"
# On a class: whether it is that of pipelines which name none. On a RayService: the class as it was when it was applied.
ANNOTATION_DEFAULT_CLASS: Final = f"{GROUP}/is-default-class"
ANNOTATION_CLASS: Final = f"{GROUP}/class"
# On a RayService, with the name of the class: a change of it is being brought to this pipeline, and others wait.
LABEL_ROLLOUT: Final = f"{GROUP}/class-rollout"

SERVE_PORT: Final = 8000

# What `pip install` calls this package. `llmpipeline` alone is somebody else's on the Python Package Index.
DISTRIBUTION: Final = "llmpipeline-kuberay"


# DNS subdomains, which the names of objects are. A name in a status is input: it may be anything.
_OBJECT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME: Final = 253


def is_object_name(name: str) -> bool:
    """Whether this can be the name of an object or a namespace: `..` and `a/b` cannot."""
    return len(name) <= _LONGEST_NAME and _OBJECT_NAME.fullmatch(name) is not None


def head_policy(pipeline: str) -> str:
    """The name of the NetworkPolicy of a head Pod alone. No pipeline has a dot in its name, so none can share it."""
    return f"{pipeline}.head"


def companion_names(kind: str, pipeline: str) -> tuple[str, ...]:
    """What the companion objects of a kind may be called."""
    return (pipeline, head_policy(pipeline)) if kind == "NetworkPolicy" else (pipeline,)


class Key(NamedTuple):
    """Which pipeline, or which other object of its kind."""

    namespace: str
    name: str


class Object(NamedTuple):
    """Which object: its kind, and where it is."""

    kind: str
    key: Key


def object_of(manifest: Manifest) -> Object:
    """Which object a manifest is of."""
    metadata = manifest["metadata"]
    return Object(manifest["kind"], Key(metadata["namespace"], metadata["name"]))


def without_none(fields: Mapping[str, Any]) -> Manifest:
    """The fields that have a value: what is left out of a manifest has the default of who reads it."""
    return {name: value for name, value in fields.items() if value is not None}
