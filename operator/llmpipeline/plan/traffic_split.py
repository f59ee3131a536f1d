"""A `trafficSplit` app in the terms of its Serve app."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.traffic_split import TrafficSplit
from llmpipeline.names import SERVE_PORT
from llmpipeline.plan.deployment import actor_options, demand, options
from llmpipeline.plan.types import Application, Demand
from llmpipeline.problems import Path, Problem

IMPORT_PATH: Final = "llmpipeline_serve.traffic_split.app:build"
# A request in work here only waits for another app.
DEFAULT_ONGOING_REQUESTS: Final = 1000


def application(app: App, routes: Mapping[str, str]) -> tuple[Application, tuple[Demand, ...]]:
    """The Serve application, and what its deployment takes.

    Args:
        app: The app of this kind.
        routes: The route of every app of the pipeline, by name. One that is missing is a problem (see `problems`).
    """
    split = app.traffic_split
    assert split is not None
    deployment = {
        "name": "TrafficSplit",
        # All that an edit may change while requests are in work: Serve hands it to the running replicas.
        "user_config": _settings(split, routes),
        **options(split, DEFAULT_ONGOING_REQUESTS),
        "ray_actor_options": actor_options(split),
    }
    planned = Application(app.name, app.route, IMPORT_PATH, {"port": SERVE_PORT}, (deployment,))
    return planned, (demand(app.name, split),)


def problems(spec: Spec) -> Iterator[Problem]:
    """What the schema cannot see: apps that do not exist, loops, two shadows of one app."""
    kinds = {app.name: app.traffic_split for app in spec.apps}
    for a, app in enumerate(spec.apps):
        if not app.traffic_split:
            continue
        here = ("spec", "apps", a, "trafficSplit")
        for v, variant in enumerate(app.traffic_split.variants):
            yield from _unusable(variant.app, kinds, (*here, "variants", v, "app"))
        seen: set[str] = set()
        for s, shadow in enumerate(app.traffic_split.shadow):
            yield from _unusable(shadow.app, kinds, (*here, "shadow", s, "app"))
            if shadow.app in seen:
                yield Problem((*here, "shadow", s, "app"), f"{shadow.app} is listed twice", "give each app once")
            seen.add(shadow.app)


def _unusable(name: str, kinds: Mapping[str, TrafficSplit | None], path: Path) -> Iterator[Problem]:
    others = ", ".join(other for other, split in kinds.items() if not split) or "add one"
    if name not in kinds:
        yield Problem(path, f"this pipeline has no app {name}", f"apps to choose from: {others}")
    elif kinds[name]:
        message = f"{name} is a trafficSplit, and one may not pass requests to another"
        yield Problem(path, message, f"apps to choose from: {others}")


def _settings(split: TrafficSplit, routes: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "variants": [
            {"name": variant.name, "route": routes.get(variant.app, "/"), "weight": variant.weight}
            for variant in split.variants
        ],
        "timeout_seconds": split.timeout_seconds,
    }
    if split.sticky:
        settings["sticky"] = split.sticky.model_dump(exclude_none=True)
    if split.override_header:
        settings["override_header"] = split.override_header
    if split.shadow:
        settings["shadow"] = [
            {"app": shadow.app, "route": routes.get(shadow.app, "/"), "percent": shadow.percent}
            for shadow in split.shadow
        ]
    return settings
