"""A `trafficSplit` app in the terms of Ray Serve."""

from collections.abc import Mapping
from typing import Final

from llmpipeline.api.apps import App
from llmpipeline.api.defaults import ONGOING_REQUESTS
from llmpipeline.api.traffic_split import TrafficSplit
from llmpipeline.names import SERVE_PORT
from llmpipeline.plan.apps.application import Application, Planned, Setting
from llmpipeline.plan.apps.deployment import actor_options, demand, options
from llmpipeline_serve.contract.traffic_split import IMPORT_PATH, Settings, Shadow, SplitArgs, Sticky, Variant

SERVE_NAME: Final = "TrafficSplit"


def planned(app: App, split: TrafficSplit, setting: Setting) -> Planned:
    """The Serve application, and what its deployment takes."""
    deployment = {
        "name": SERVE_NAME,
        # All that may change while requests are in flight: Serve hands it to the running replicas.
        "user_config": _settings(split, setting.routes).written(),
        **options(split, ONGOING_REQUESTS.traffic_split),
        "ray_actor_options": actor_options(split),
    }
    args = SplitArgs(port=SERVE_PORT).written()
    application = Application(app.name, app.route, IMPORT_PATH, args, (deployment,))
    return Planned(application, (demand(app.name, SERVE_NAME, split),))


def _settings(split: TrafficSplit, routes: Mapping[str, str]) -> Settings:
    """The settings; the route of an app that is missing is any, because that is a problem (see `checks`)."""
    variants = tuple(
        Variant(name=variant.label, route=routes.get(variant.app, "/"), weight=variant.weight)
        for variant in split.variants
    )
    shadows = tuple(
        Shadow(app=shadow.app, route=routes.get(shadow.app, "/"), percent=shadow.percent) for shadow in split.shadow
    )
    sticky = split.sticky
    return Settings.of(
        variants=variants,
        timeout_seconds=split.timeout_seconds,
        sticky=sticky and Sticky.of(header=sticky.header, cookie=sticky.cookie),
        override_header=split.override_header,
        shadow=shadows or None,
    )
