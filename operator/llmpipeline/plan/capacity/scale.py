"""The deployment that the scale subresource is about, with the replicas that it is given."""

from collections.abc import Sequence
from dataclasses import replace

from llmpipeline.api.apps import App
from llmpipeline.api.companions import Scale
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.quantity import Range
from llmpipeline.plan.capacity.demand import Demand


def with_scale(spec: Spec) -> Spec:
    """The spec whose scaled deployment has `scale.replicas` replicas; as it is if there is none."""
    if not spec.scale:
        return spec
    return spec.model_copy(update={"apps": tuple(_scaled(app, spec.scale) for app in spec.apps)})


def with_range(spec: Spec, demands: Sequence[Demand]) -> tuple[Demand, ...]:
    """The demands, in which the scaled deployment takes all that it may be scaled to."""
    scale = spec.scale
    if not scale:
        return tuple(demands)
    bounds = Range(scale.min_replicas, scale.max_replicas)
    return tuple(replace(item, replicas=bounds) if _is_meant(scale, item) else item for item in demands)


def _is_meant(scale: Scale, demand: Demand) -> bool:
    named = demand.deployment is not None and scale.deployment in (None, demand.deployment)
    return demand.app == scale.app and named


def _scaled(app: App, scale: Scale) -> App:
    if app.name != scale.app:
        return app
    for name, block in app.named_deployments.items():
        if scale.deployment in (None, name) or not name:
            app = app.with_deployment(name, block.model_copy(update={"replicas": scale.replicas}))
    return app
