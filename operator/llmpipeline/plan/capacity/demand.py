"""What deployments take of a cluster, and the worker groups that hold them, as values."""

from dataclasses import dataclass
from typing import Final

from llmpipeline.api.deployment import UpdateOrder
from llmpipeline.api.quantity import Range
from llmpipeline.api.ray_cluster import WorkerGroup
from llmpipeline.plan.capacity.accelerators import AcceleratorKind

# Ray Serve rounds up: one replica more for every hundred.
SURGE_PERCENT: Final = 1


def surge_of(replicas: int) -> int:
    """How many replicas more Ray Serve starts in an update of so many."""
    return -(-SURGE_PERCENT * replicas // 100)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one actor of a replica takes on one node: CPUs and GPUs in thousandths, memory in bytes."""

    cpu_milli: int = 0
    gpu_milli: int = 0
    memory: int = 0

    @property
    def gpus(self) -> int:
        """The GPUs, rounded up: those that a Pod must have."""
        return -(-self.gpu_milli // 1000)


@dataclass(frozen=True, slots=True)
class Demand:
    """What one Serve deployment takes of the cluster.

    Attributes:
        app: The app that it belongs to.
        part: What it is in the app, in the user's words, like `model llama-70b`; empty where the app is one deployment.
        deployment: Its name for `spec.scale`, empty where the app is one deployment; None where it cannot be named.
        accelerator: The kind of GPU it runs on; None for CPUs alone, or for GPUs of any kind.
        replicas: How many replicas there may be.
        shares: What one replica takes, one bundle for each Pod that it is spread over in a derived group.
        splits: Ray may place it over more Pods than that, at least one GPU each.
        serve: Ray Serve's name of the deployment; None if only the user's code knows it.
        order: How the user wants an update to replace its replicas; None if the room decides.
    """

    app: str
    part: str
    deployment: str | None
    accelerator: AcceleratorKind | None
    replicas: Range
    shares: tuple[Bundle, ...]
    splits: bool = False
    serve: str | None = None
    order: UpdateOrder | None = None

    @property
    def where(self) -> str:
        """The deployment in the user's words, like `app chat, model llama-70b`."""
        return f"app {self.app}, {self.part}" if self.part else f"app {self.app}"

    @property
    def gpus(self) -> int:
        """GPUs of one replica, rounded up."""
        return sum(share.gpus for share in self.shares)

    @property
    def surge(self) -> int:
        """How many replicas more there are while an update starts new ones before it stops old ones."""
        return 0 if self.order == "StopFirst" else surge_of(self.replicas.maximum)


@dataclass(frozen=True, slots=True)
class Group:
    """One worker group: Pods of one kind.

    Attributes:
        name: Its name.
        cpu_milli: CPUs of a Pod, in thousandths of a core.
        memory: Memory of a Pod, in bytes.
        gpus: GPUs of a Pod.
        accelerator: Their kind.
        replicas: How many Pods, or sets of Pods, there may be.
        hosts: Pods in a set.
        given: The group as the user gave it; None where it is derived.
    """

    name: str
    cpu_milli: int
    memory: int
    gpus: int
    accelerator: AcceleratorKind | None
    replicas: Range
    hosts: int = 1
    given: WorkerGroup | None = None

    @property
    def fewest_pods(self) -> int:
        """Pods of the group at its minimum."""
        return self.replicas.minimum * self.hosts

    @property
    def most_pods(self) -> int:
        """Pods of the group at its maximum."""
        return self.replicas.maximum * self.hosts
