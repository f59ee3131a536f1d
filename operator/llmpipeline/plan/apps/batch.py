"""A `batch` app in the terms of Ray Serve."""

from llmpipeline.api.apps import App
from llmpipeline.api.batch import Batch
from llmpipeline.plan.apps.application import Application, Planned, Setting
from llmpipeline.plan.apps.deployment import actor_options, demand, limits_args, options
from llmpipeline.plan.apps.models import classify_args, custom_args, embed_args, embed_settings, secrets
from llmpipeline_serve.contract.base import Limits
from llmpipeline_serve.contract.batch import IMPORT_PATH, BatchArgs, BatchSettings


def batch_size(batch: Batch) -> int:
    """Most requests in one call of the model."""
    return batch.max_batch_size or BatchSettings().max_batch_size


def planned(app: App, batch: Batch, _: Setting) -> Planned:
    """The Serve application, and what its deployment takes."""
    args = BatchArgs.of(
        classify=batch.classify and classify_args(batch.classify),
        embed=batch.embed and embed_args(batch.embed),
        custom=batch.custom and custom_args(batch.custom),
    )
    size, wait = batch_size(batch), batch.batch_wait_milliseconds or BatchSettings().batch_wait_milliseconds
    settings = BatchSettings.of(
        max_batch_size=size,
        batch_wait_milliseconds=wait,
        embed=embed_settings(batch.embed) if batch.embed and batch.embed.pooling else None,
        limits=limits_args(batch, Limits),
    )
    deployment = {
        "name": "Batch",
        # One batch at work and the next one waiting, so that the model never waits for requests to arrive.
        **options(batch, 2 * size),
        "user_config": settings.written(),
        "ray_actor_options": actor_options(batch),
    }
    model = batch.classify.model if batch.classify else batch.embed.model if batch.embed else None
    application = Application(
        name=app.name,
        route_prefix=app.route,
        import_path=IMPORT_PATH,
        args=args.written(),
        deployments=(deployment,),
        runtime_env=batch.custom.runtime_env if batch.custom else None,
        secrets=secrets(model),
    )
    return Planned(application, (demand(app.name, "Batch", batch),))
