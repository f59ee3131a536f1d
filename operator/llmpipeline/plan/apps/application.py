"""An application of the Serve config, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmpipeline.api.ray_cluster import Ray
from llmpipeline.plan.capacity.demand import Demand

# An environment variable that the Ray Pods take from a Secret: (variable, Secret, key).
Secret = tuple[str, str, str]


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
class Setting:
    """What the planner of an app needs to know of the rest of the pipeline.

    Attributes:
        routes: The route of every app, by name.
        ray: Which Ray, and how its Pods start.
    """

    routes: Mapping[str, str]
    ray: Ray


@dataclass(frozen=True, slots=True)
class Planned:
    """One app: its Serve application, and what its deployments take of the cluster."""

    application: Application
    demands: tuple[Demand, ...]
