"""A `batch` app in the terms of Ray Serve."""

from collections.abc import Iterator
from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.batch import Classify, Embed
from llmpipeline.plan.deployment import actor_options, demand, limits_args, options
from llmpipeline.plan.models import secrets, source_args
from llmpipeline.plan.types import Application, Demand
from llmpipeline.problems import Path, Problem

DEFAULT_BATCH: Final = 8


def application(app: App) -> tuple[Application, tuple[Demand, ...]]:
    """The Serve application, and what its deployment takes."""
    batch = app.batch
    assert batch is not None
    args: dict[str, Any] = {}
    if batch.classify:
        args["classify"] = classify_args(batch.classify)
    if batch.embed:
        args["embed"] = embed_args(batch.embed)
    if batch.custom:
        args["custom"] = {"import_path": batch.custom.import_path}
    if limits := limits_args(batch):
        args["limits"] = limits
    size = batch.max_batch_size or DEFAULT_BATCH
    settings = {
        "name": "Batch",
        # One batch in work and the next one waiting, so that the model never waits for requests to arrive.
        **options(batch, 2 * size),
        "user_config": {"max_batch_size": size, "batch_wait_milliseconds": batch.batch_wait_milliseconds or 0},
        "ray_actor_options": actor_options(batch),
    }
    model = batch.classify.model if batch.classify else batch.embed.model if batch.embed else None
    planned = Application(
        name=app.name,
        route_prefix=app.route,
        import_path="llmpipeline_serve.batch:build",
        args=args,
        deployments=(settings,),
        runtime_env=batch.custom.runtime_env if batch.custom else None,
        secrets=secrets(model),
    )
    return planned, (demand(app.name, batch),)


def problems(app: App, path: Path) -> Iterator[Problem]:
    """What would keep a batch from ever being full."""
    batch = app.batch
    size = (batch.max_batch_size or DEFAULT_BATCH) if batch else 0
    if batch and batch.max_ongoing_requests and batch.max_ongoing_requests < size:
        message = f"a batch holds only requests in work, so with {batch.max_ongoing_requests} it never has {size}"
        yield Problem((*path, "batch", "maxOngoingRequests"), message, f"raise it to {2 * size} or lower maxBatchSize")


def classify_args(classify: Classify) -> dict[str, Any]:
    """As `llmpipeline_serve.args.ClassifyArgs` has it."""
    return {"model": source_args(classify.model)}


def embed_args(embed: Embed) -> dict[str, Any]:
    """As `llmpipeline_serve.args.EmbedArgs` has it."""
    return {"model": source_args(embed.model)} | ({"pooling": embed.pooling.lower()} if embed.pooling else {})
