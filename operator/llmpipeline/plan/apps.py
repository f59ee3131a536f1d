"""Each app of the resource as a Serve application, with what it takes of the cluster."""

from collections.abc import Mapping
from typing import Any

from llmpipeline.api.apps import App, Hello
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.ray_cluster import Ray
from llmpipeline.plan import batch, generate, graph, openai, traffic_split
from llmpipeline.plan.deployment import actor_options, demand, options
from llmpipeline.plan.types import Application, Demand


def application(app: App, routes: Mapping[str, str], ray: Ray) -> tuple[Application, tuple[Demand, ...]]:
    """The Serve application of one app, and what its deployments take; `routes` are those of all apps, by name."""
    if app.openai:
        return openai.application(app, ray)
    if app.generate:
        return generate.application(app)
    if app.graph:
        return graph.application(app)
    if app.batch:
        return batch.application(app)
    if app.traffic_split:
        return traffic_split.application(app, routes)
    if app.custom:
        return _custom(app)
    assert app.hello is not None
    return _hello(app, app.hello)


def _hello(app: App, hello: Hello) -> tuple[Application, tuple[Demand, ...]]:
    args: dict[str, Any] = {} if hello.message is None else {"message": hello.message}
    settings = {"name": "Hello", **options(hello), "ray_actor_options": actor_options(hello)}
    planned = Application(app.name, app.route, "llmpipeline_serve.hello:build", args, (settings,))
    return planned, (demand(app.name, hello),)


def _custom(app: App) -> tuple[Application, tuple[Demand, ...]]:
    assert app.custom is not None
    custom = app.custom
    planned = Application(
        name=app.name,
        route_prefix=app.route,
        import_path=custom.import_path,
        args=dict(custom.args or {}),
        deployments=tuple(
            {"name": item.name, **options(item, bounded=False), "ray_actor_options": actor_options(item)}
            for item in custom.deployments
        ),
        runtime_env=custom.runtime_env,
    )
    demands = tuple(demand(app.name, item, f"deployment {item.name}", item.name) for item in custom.deployments)
    return planned, demands or (demand(app.name, Deployment(), deployment=None),)
