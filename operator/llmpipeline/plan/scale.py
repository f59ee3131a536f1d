"""The deployment that the scale subresource is about: found in the spec, and given its replicas."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.pipeline import Spec
from llmpipeline.plan.types import Demand
from llmpipeline.problems import Path, Problem

_HERE: Final[Path] = ("spec", "scale")
# Apps of one deployment, and apps of several with the member that lists them.
_SINGLE: Final = ("hello", "generate", "batch", "traffic_split")
_SEVERAL: Final = (("openai", "models"), ("graph", "nodes"), ("custom", "deployments"))


def with_scale(spec: Spec) -> Spec:
    """The spec whose scaled deployment has `scale.replicas` replicas; as it is where there is none."""
    scale = spec.scale
    if not scale:
        return spec
    apps = [_scaled(app, scale.deployment, scale.replicas) if app.name == scale.app else app for app in spec.apps]
    return spec.model_copy(update={"apps": tuple(apps)})


def with_range(spec: Spec, demands: Sequence[Demand]) -> tuple[Demand, ...]:
    """The demands, in which the scaled deployment takes all that it may be scaled to."""
    scale = spec.scale
    if not scale:
        return tuple(demands)
    bounds = (scale.min_replicas, scale.max_replicas)
    return tuple(replace(item, replicas=bounds) if _is_meant(spec, item) else item for item in demands)


def problems(spec: Spec, demands: Sequence[Demand]) -> Iterator[Problem]:
    """A deployment that is not there, and one whose replicas are said twice."""
    scale = spec.scale
    if not scale:
        return
    app = next((app for app in spec.apps if app.name == scale.app), None)
    names = [item.deployment for item in demands if item.app == scale.app and item.deployment is not None]
    if app is None:
        yield Problem((*_HERE, "app"), f"there is no app {scale.app}", f"known: {_listed(spec.apps)}")
    elif not names:
        yield Problem(_HERE, "the app says nothing of its deployments", "list the one to scale in custom.deployments")
    elif scale.deployment is None and len(names) > 1:
        yield Problem((*_HERE, "deployment"), "the app has several deployments", f"name one: {', '.join(names)}")
    elif scale.deployment is not None and scale.deployment not in names:
        remedy = f"known: {', '.join(names)}" if all(names) else "leave it out, for the app has only one"
        yield Problem((*_HERE, "deployment"), f"the app has no deployment {scale.deployment}", remedy)
    else:
        block = _block(app, scale.deployment)
        if block.autoscaling or block.replicas is not None:
            message = "the deployment's own replicas or autoscaling would decide how many there are as well"
            yield Problem(_HERE, message, "leave replicas and autoscaling of the deployment out")


def _is_meant(spec: Spec, demand: Demand) -> bool:
    assert spec.scale
    named = demand.deployment is not None and spec.scale.deployment in (None, demand.deployment)
    return demand.app == spec.scale.app and named


def _listed(apps: Sequence[App]) -> str:
    return ", ".join(app.name for app in apps)


def _block(app: App, name: str | None) -> Deployment:
    blocks: list[Any] = [getattr(app, kind) for kind in _SINGLE if getattr(app, kind)]
    for kind, items in _SEVERAL:
        blocks += [block for block in getattr(getattr(app, kind), items, ()) if name in (None, block.name)]
    found: Deployment = blocks[0]
    return found


def _scaled(app: App, name: str | None, replicas: int) -> App:
    wanted = {"replicas": replicas}
    for kind in _SINGLE:
        if block := getattr(app, kind):
            return app.model_copy(update={kind: block.model_copy(update=wanted)})
    for kind, items in _SEVERAL:
        if several := getattr(app, kind):
            blocks = [b.model_copy(update=wanted) if name in (None, b.name) else b for b in getattr(several, items)]
            return app.model_copy(update={kind: several.model_copy(update={items: tuple(blocks)})})
    return app
