"""A `custom` app in the terms of Ray Serve."""

from llmpipeline.api.apps import App
from llmpipeline.api.custom import Custom
from llmpipeline.api.deployment import Deployment
from llmpipeline.plan.apps.application import Application, Planned, Setting
from llmpipeline.plan.apps.deployment import actor_options, demand, options


def planned(app: App, custom: Custom, _: Setting) -> Planned:
    """The Serve application, and what its deployments take, as far as they are listed."""
    application = Application(
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
    demands = tuple(
        demand(app.name, item.name, item, f"deployment {item.name}", item.name) for item in custom.deployments
    )
    return Planned(application, demands or (demand(app.name, None, Deployment(), deployment=None),))
