"""What was read of a cluster, and what is found in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from llmpipeline import names
from llmpipeline.doctor.nodes import Claim, Node
from llmpipeline.names import Manifest
from llmpipeline.rights import Right

Judgement = Literal["Ok", "Warning", "Problem", "Unknown"]

READ_MORE: Final = "ask for the right to read that, or run doctor as somebody who has it"


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of the cluster that could not be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What was read of a cluster.

    Attributes:
        kubernetes: The server's version, like `v1.34.1`.
        our_crd: The CustomResourceDefinition of pipelines; None where there is none.
        ray_crd: That of RayServices.
        operators: The Deployments that may be the operator of RayServices.
        nodes: All nodes, as far as their GPUs go.
        claims: What the Pods take of those.
        gateway_classes: Names of the GatewayClasses; None where the cluster has no Gateway API.
        pod_monitors: Whether the cluster knows PodMonitors.
        missing_rights: What the asked user may not do of what the operator does.
        namespace: The namespace that is asked about; None: all.
        user: Whose rights were asked for; None: those of the kubeconfig's user.
        classes: The classes, which may add types of GPUs.
    """

    kubernetes: str | Unread
    our_crd: Manifest | Unread | None
    ray_crd: Manifest | Unread | None
    operators: Sequence[Manifest] | Unread
    nodes: Sequence[Node] | Unread
    claims: Sequence[Claim] | Unread
    gateway_classes: Sequence[str] | Unread | None
    pod_monitors: bool | Unread
    missing_rights: Sequence[tuple[Right, str]] | Unread
    namespace: str | None = None
    user: str | None = None
    classes: Sequence[Manifest] | Unread = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        verdict: Ok; Warning: something cannot be used, or not well; Problem: pipelines cannot run; Unknown: not read.
        message: What was seen.
        remedy: What to do; empty where there is nothing.
    """

    check: str
    verdict: Judgement
    message: str
    remedy: str = ""


# The checks of what no pipeline can do without.
OUR_CRD: Final = f"{names.KIND} CRD"
KUBERAY_CRD: Final = "KubeRay CRD"
CRD_CHECKS: Final = frozenset((OUR_CRD, KUBERAY_CRD))


def unknown(check: str, unread: Unread) -> list[Finding]:
    """One finding for a part that was not read."""
    return [Finding(check, "Unknown", f"cannot be read: {unread.reason}", READ_MORE)]
