"""A user's own code of every kind, in two versions, for `make prove-changes`: apps, functions of batches and nodes."""

from collections.abc import Sequence
from typing import Any

from ray import serve

LITTLE = {"num_cpus": 0.05}


@serve.deployment(name="Other", ray_actor_options=LITTLE)
class Other:
    """Stands by, so that the app has two deployments."""

    def __call__(self) -> str:
        return "other"


@serve.deployment(name="One", ray_actor_options=LITTLE)
class One:
    """Answers requests."""

    def __init__(self, message: str, _other: Any) -> None:
        self._message = message

    async def __call__(self, _request: Any) -> dict[str, str]:
        return {"message": self._message}


def app_one(args: dict[str, Any]) -> Any:
    """A builder, so that it takes arguments."""
    return One.bind(f"one {args.get('a', '')}", Other.bind())


def app_other(args: dict[str, Any]) -> Any:
    """Another builder."""
    return One.bind(f"other {args.get('a', '')}", Other.bind())


def batch_one(inputs: Sequence[Any]) -> list[Any]:
    """For a batch: as many outputs as inputs."""
    return list(inputs)


def batch_other(inputs: Sequence[Any]) -> list[Any]:
    """Another function for a batch."""
    return [[item] for item in inputs]


def node_one(_given: dict[str, Any]) -> dict[str, str]:
    """For a node of a graph."""
    return {"text": "one"}


def node_other(_given: dict[str, Any]) -> dict[str, str]:
    """Another function for a node."""
    return {"text": "other"}


def keep(context: Any, **_: Any) -> tuple[int, dict[str, Any]]:
    """An autoscaling policy that leaves everything as it is."""
    return context.target_num_replicas, {}


def keep_too(context: Any, **_: Any) -> tuple[int, dict[str, Any]]:
    """Another policy that does the same."""
    return context.target_num_replicas, {}
