"""What administrators decide once for all pipelines of an operator, and what is rendered depends on."""

import re
from dataclasses import dataclass
from typing import Final

from llmpipeline import names

# Labels of Kueue, which reads them from the RayService.
KUEUE: Final = "kueue.x-k8s.io/"
# What others than the user set: the operator, KubeRay, and kubectl.
RESERVED: Final = (f"{names.GROUP}/", "app.kubernetes.io/", "ray.io/", "kubectl.kubernetes.io/")
_DOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_NAME: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY: Final = re.compile(rf"({_DOMAIN}/)?{_NAME}|{_DOMAIN}/")


@dataclass(frozen=True, slots=True)
class Platform:
    """The cluster around the pipelines.

    Attributes:
        kuberay_namespace: Where KubeRay's operator runs: network policies let its Pods in, and no others that only
            have their label.
        labels: Labels of a pipeline that its RayService and its Pods get too: keys, or prefixes that end in `/`.
        annotations: The same of annotations.
    """

    kuberay_namespace: str = "kuberay"
    labels: tuple[str, ...] = (KUEUE,)
    annotations: tuple[str, ...] = ()


DEFAULT: Final = Platform()


def wrong_with(key: str) -> str:
    """Why labels or annotations with this key or prefix cannot be passed on; empty if they can."""
    if not _KEY.fullmatch(key):
        return f"{key!r} is neither a key, like team or example.com/team, nor a prefix, like example.com/"
    reserved = next((prefix for prefix in RESERVED if key.startswith(prefix)), "")
    return (
        f"{key} cannot be passed on: {reserved} is reserved for Kubernetes tools and this operator" if reserved else ""
    )
