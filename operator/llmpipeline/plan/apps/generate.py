"""A `generate` app in the terms of Ray Serve."""

from llmpipeline.api.apps import App
from llmpipeline.api.defaults import ONGOING_REQUESTS
from llmpipeline.api.generate import Generate
from llmpipeline.plan.apps.application import Application, Planned, Setting
from llmpipeline.plan.apps.deployment import limits_args, options
from llmpipeline.plan.apps.engine import engine_actor_options, engine_demand
from llmpipeline.plan.apps.models import engine_args, sampling_args, secrets
from llmpipeline_serve.contract.generate import IMPORT_PATH, GenerateArgs, GenerateLimits, GenerateSettings


def planned(app: App, generate: Generate, _: Setting) -> Planned:
    """The Serve application, and what its deployment takes."""
    args = GenerateArgs(**engine_args(generate))
    settings = GenerateSettings.of(
        sampling=sampling_args(generate.sampling),
        limits=limits_args(generate, GenerateLimits),
    )
    deployment = {
        "name": "Generate",
        **options(generate, ONGOING_REQUESTS.generate),
        "user_config": settings.written(),
        "ray_actor_options": engine_actor_options(generate, generate),
    }
    application = Application(
        app.name, app.route, IMPORT_PATH, args.written(), (deployment,), secrets=secrets(generate.model)
    )
    return Planned(application, (engine_demand(app.name, "Generate", generate, generate),))
