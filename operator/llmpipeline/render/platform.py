"""What administrators decide once for all pipelines of an operator, and what is rendered depends on."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Platform:
    """The cluster around the pipelines.

    Attributes:
        kuberay_namespace: Where KubeRay's operator runs: network policies let its Pods in, and no others that only
            have their label.
    """

    kuberay_namespace: str = "kuberay"


DEFAULT: Final = Platform()
