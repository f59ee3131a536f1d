"""The plan: what has to run, as values."""

from dataclasses import dataclass
from typing import Any

from llmpipeline.api.ray_cluster import WorkerGroup
from llmpipeline.plan.accelerators import Kind
from llmpipeline.problems import Problem

# An environment variable that the Ray Pods take from a Secret: (variable, Secret, key).
Secret = tuple[str, str, str]


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
        replicas: Fewest and most replicas.
        shares: What one replica takes, one bundle for each Pod that it is spread over in a derived group.
        splits: Ray may place it over more Pods than that, one GPU each at the least.
    """

    app: str
    part: str
    deployment: str | None
    accelerator: Kind | None
    replicas: tuple[int, int]
    shares: tuple[Bundle, ...]
    splits: bool = False

    @property
    def where(self) -> str:
        """The deployment in the user's words, like `app chat, model llama-70b`."""
        return f"app {self.app}, {self.part}" if self.part else f"app {self.app}"

    @property
    def gpus(self) -> int:
        """GPUs of one replica, rounded up."""
        return sum(share.gpus for share in self.shares)


@dataclass(frozen=True, slots=True)
class Application:
    """One application of the Serve config, in Ray's terms."""

    name: str
    route_prefix: str
    import_path: str
    args: dict[str, Any]
    deployments: tuple[dict[str, Any], ...] = ()
    runtime_env: dict[str, Any] | None = None
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One worker group: Pods of one kind.

    Attributes:
        name: Its name.
        cpu_milli: CPUs of a Pod, in thousandths of a core.
        memory: Memory of a Pod, in bytes.
        gpus: GPUs of a Pod.
        accelerator: Their kind.
        replicas: Fewest and most Pods, or sets of Pods.
        hosts: Pods in a set.
        given: The group as the user gave it; None where it is derived.
    """

    name: str
    cpu_milli: int
    memory: int
    gpus: int
    accelerator: Kind | None
    replicas: tuple[int, int]
    hosts: int = 1
    given: WorkerGroup | None = None

    @property
    def most_pods(self) -> int:
        """Pods, with the group at its most."""
        return self.replicas[1] * self.hosts


@dataclass(frozen=True, slots=True)
class Plan:
    """All that has to run, or, with problems, why it cannot; `head` is what replicas may take of the head.

    `notes` are sentences on what can work and may surprise.
    """

    applications: tuple[Application, ...]
    demands: tuple[Demand, ...]
    groups: tuple[Group, ...]
    head: Group
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    @property
    def gpus(self) -> tuple[int, int]:
        """GPUs with every deployment at its fewest replicas, and with every group at its most Pods."""
        needed = sum(share.gpu_milli * item.replicas[0] for item in self.demands for share in item.shares)
        return (
            max(-(-needed // 1000), sum(group.gpus * group.hosts * group.replicas[0] for group in self.groups)),
            sum(group.gpus * group.hosts * group.replicas[1] for group in self.groups),
        )
