"""The plan: what has to run, as values."""

from dataclasses import dataclass
from typing import Any

from llmpipeline.problems import Problem

# An environment variable that the Ray Pods take from a Secret: (variable, Secret, key).
Secret = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one actor of a replica takes on one node: CPUs in thousandths of a core, whole GPUs, memory in bytes."""

    cpu_milli: int = 0
    gpus: int = 0
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What one Serve deployment takes of the cluster.

    Attributes:
        where: The deployment in the user's words, like `app chat, model llama-70b`.
        accelerator: The GPU type it runs on, None for CPUs alone.
        replicas: Fewest and most replicas.
        shares: What one replica takes, one bundle for each Pod that it is spread over in a derived group.
        splits: Ray may place it over more Pods than that, one GPU each at the least.
    """

    where: str
    accelerator: str | None
    replicas: tuple[int, int]
    shares: tuple[Bundle, ...]
    splits: bool = False

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
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
    """One worker group: Pods of one kind, `replicas` their fewest and most."""

    name: str
    cpu_milli: int
    memory: int
    gpus: int
    accelerator: str | None
    replicas: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that has to run, or, with problems, why it cannot."""

    applications: tuple[Application, ...]
    demands: tuple[Demand, ...]
    groups: tuple[Group, ...]
    problems: tuple[Problem, ...]

    @property
    def gpus(self) -> tuple[int, int]:
        """GPUs with every group at its fewest and at its most Pods."""
        return (
            sum(group.gpus * group.replicas[0] for group in self.groups),
            sum(group.gpus * group.replicas[1] for group in self.groups),
        )
