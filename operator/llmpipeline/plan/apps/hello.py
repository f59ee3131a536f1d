"""A `hello` app in the terms of Ray Serve."""

from llmpipeline.api.apps import App, Hello
from llmpipeline.plan.apps.application import Application, Planned, Setting
from llmpipeline.plan.apps.deployment import actor_options, demand, options
from llmpipeline_serve.contract.hello import IMPORT_PATH, HelloArgs


def planned(app: App, hello: Hello, _: Setting) -> Planned:
    """The Serve application, and what its deployment takes."""
    args = HelloArgs.of(message=hello.message).written()
    settings = {"name": "Hello", **options(hello), "ray_actor_options": actor_options(hello)}
    return Planned(Application(app.name, app.route, IMPORT_PATH, args, (settings,)), (demand(app.name, hello),))
