"""What KubeRay's CRD and its operator's Deployment show of its version. Pure; read from KubeRay 1.3 to 1.7."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from llmpipeline import names
from llmpipeline.api.quantity import milli
from llmpipeline.names import Manifest

Version = tuple[int, int]

OLDEST: Final[Version] = (1, 7)
REQUIRED: Final = f"KubeRay {OLDEST[0]}.{OLDEST[1]} or newer"

INSTALL: Final = "helm install kuberay-operator kuberay/kuberay-operator"
UPGRADE: Final = "helm upgrade kuberay-operator kuberay/kuberay-operator"
UPDATE_CRDS: Final = (
    "kubectl apply --server-side --force-conflicts "
    f'-k "github.com/ray-project/kuberay/ray-operator/config/crd?ref=v{OLDEST[0]}.{OLDEST[1]}.0"'
)

INCREMENTAL: Final = "RayServiceIncrementalUpgrade"
EMBEDDED_STORAGE: Final = "GCSFaultToleranceEmbeddedStorage"
NETWORK_POLICY: Final = "RayClusterNetworkPolicy"

# The Helm chart and the kustomization label the Deployment in different ways.
SELECTOR: Final = f"{names.LABEL_NAME} in (kuberay-operator,kuberay)"
_COMPONENT: Final = "app.kubernetes.io/component"

# A field of the RayService that came with each version, newest first.
_FIELDS: Final[tuple[tuple[Version, tuple[str, ...]], ...]] = (
    ((1, 7), ("suspend",)),
    ((1, 6), ("managedBy",)),
    ((1, 5), ("rayClusterDeletionDelaySeconds",)),
    ((1, 4), ("rayClusterConfig", "autoscalerOptions", "version")),
)
# The first version in which each gate is on unless switched off, and the group switch that it obeys.
_DEFAULTS: Final[dict[str, tuple[Version | None, str]]] = {
    INCREMENTAL: ((1, 7), "AllBeta"),
    EMBEDDED_STORAGE: (None, "AllAlpha"),
    NETWORK_POLICY: (None, "AllAlpha"),
}


@dataclass(frozen=True, slots=True)
class Operator:
    """One Deployment of KubeRay's operator.

    Attributes:
        name: `namespace/name`.
        image: The image of its container.
        version: From the image's tag; None if that has none.
        ready: Pods that are ready.
        replicas: Pods that there should be.
        gates: Feature gates that its arguments set.
        workers: RayServices that it works on at once; None where a file says it.
        cpu: Its CPU limit as written; empty where there is none.
        namespaces: Which it watches; empty: all; None where a file says it.
    """

    name: str
    image: str
    version: Version | None
    ready: int
    replicas: int
    gates: Mapping[str, bool]
    workers: int | None
    cpu: str
    namespaces: tuple[str, ...] | None

    @property
    def cpu_milli(self) -> int | None:
        """The CPU limit in thousandths; None where there is none."""
        return milli(self.cpu) if self.cpu else None

    def gate(self, name: str) -> bool | None:
        """Whether a feature gate is on; None if only its version, which is not known, decides."""
        since, group = _DEFAULTS[name]
        default: bool | None = False
        if since:
            default = self.version >= since if self.version else None
        return self.gates.get(name, self.gates.get(group, default))

    def watches(self, namespace: str) -> bool:
        """Whether it looks at a namespace; where a file says which, it is taken to."""
        return not self.namespaces or namespace in self.namespaces


def show(version: Version) -> str:
    """`(1, 7)` -> `1.7`."""
    return ".".join(map(str, version))


def crd_version(crd: Manifest) -> Version | None:
    """The newest KubeRay that has all that this CRD has; None if it is older than all that can be distinguished."""
    served = [item for item in crd["spec"]["versions"] if item["name"] == names.RAY_VERSION and item["served"]]
    if not served:
        return None
    spec = served[0]["schema"]["openAPIV3Schema"]["properties"].get("spec", {})
    return next((version for version, path in _FIELDS if _has(spec, path)), None)


def operators(deployments: Iterable[Manifest]) -> list[Operator]:
    """KubeRay's operators among Deployments that `SELECTOR` selects."""
    return [_operator(item) for item in deployments if _is_operator(item["metadata"]["labels"])]


def _is_operator(labels: Mapping[str, str]) -> bool:
    return "kuberay-operator" in (labels.get(names.LABEL_NAME), labels.get(_COMPONENT))


def _operator(deployment: Manifest) -> Operator:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    # Service meshes add their own containers, in any order.
    container = next((item for item in containers if "kuberay" in item["name"]), containers[0])
    flags = _flags([*(container.get("command") or ()), *(container.get("args") or ())])
    in_file = bool(flags.get("config"))
    watched = tuple(filter(None, flags.get("watch-namespace", "").split(",")))
    metadata = deployment["metadata"]
    limits = (container.get("resources") or {}).get("limits") or {}
    return Operator(
        name=f"{metadata['namespace']}/{metadata['name']}",
        image=container["image"],
        version=_tag_version(container["image"]),
        ready=(deployment.get("status") or {}).get("readyReplicas", 0),
        replicas=deployment["spec"].get("replicas", 1),
        gates=_gates(flags.get("feature-gates", "")),
        workers=None if in_file else _number(flags.get("reconcile-concurrency", ""), 1),
        cpu=str(limits.get("cpu", "")),
        namespaces=None if in_file else watched,
    )


def _flags(words: Sequence[str]) -> dict[str, str]:
    """Go's flags: one dash or two, the value after `=` or as the next word."""
    flags: dict[str, str] = {}
    for word, following in zip(words, (*words[1:], ""), strict=True):
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            flags[name.lstrip("-")] = value if equals else following
    return flags


def _gates(text: str) -> dict[str, bool]:
    pairs = (item.strip().partition("=") for item in text.split(",") if "=" in item)
    # Go's ParseBool.
    return {name: value in ("1", "t", "T", "true", "TRUE", "True") for name, _, value in pairs}


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() else default


def _tag_version(image: str) -> Version | None:
    tag = re.search(r":v?(\d+)\.(\d+)[^/]*$", image.partition("@")[0])
    return (int(tag[1]), int(tag[2])) if tag else None


def _has(schema: Manifest, path: tuple[str, ...]) -> bool:
    if not path:
        return True
    inner = schema.get("properties", {}).get(path[0])
    return inner is not None and _has(inner, path[1:])
