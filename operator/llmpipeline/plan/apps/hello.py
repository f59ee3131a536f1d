"""A `hello` app in the terms of Ray Serve."""

from llmpipeline.api.apps import App, Hello
from llmpipeline.plan.apps.application import Application, Planned, Setting
from llmpipeline.plan.apps.deployment import actor_options, demand, options
from llmpipeline_serve.contract.hello import IMPORT_PATH, HelloArgs, HelloSettings


def planned(app: App, hello: Hello, _: Setting) -> Planned:
    """The Serve application, and what its deployment takes."""
    deployment = {
        "name": "Hello",
        **options(hello),
        "user_config": HelloSettings.of(message=hello.message).written(),
        "ray_actor_options": actor_options(hello),
    }
    application = Application(app.name, app.route, IMPORT_PATH, HelloArgs().written(), (deployment,))
    return Planned(application, (demand(app.name, "Hello", hello),))
