"""A `generate` app, and what any model with an engine of its own takes."""

from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.generate import EngineModel
from llmpipeline.plan.deployment import actor_options, bundle, limits_args, options, replicas
from llmpipeline.plan.models import engine_args, kind_of, sampling_args, secrets
from llmpipeline.plan.types import Application, Bundle, Demand

DEFAULT_REQUESTS: Final = 64


def application(app: App) -> tuple[Application, tuple[Demand, ...]]:
    """The Serve application, and what its deployment takes."""
    generate = app.generate
    assert generate is not None
    args: dict[str, Any] = engine_args(generate)
    if sampling := sampling_args(generate.sampling):
        args["sampling"] = sampling
    if limits := limits_args(generate):
        args["limits"] = limits
    settings = {
        "name": "Generate",
        **options(generate, DEFAULT_REQUESTS),
        "ray_actor_options": engine_actor_options(generate, generate),
    }
    planned = Application(
        app.name, app.route, "llmpipeline_serve.generate:build", args, (settings,), secrets=secrets(generate.model)
    )
    return planned, (engine_demand(app.name, generate, generate),)


def engine_actor_options(block: Deployment, model: EngineModel) -> dict[str, Any]:
    """Ray's options of the replica, whose GPUs are those of its engine."""
    given = {key: value for key, value in actor_options(block).items() if key != "num_gpus"}
    if model.accelerator:
        given |= {"num_gpus": model.tensor_parallel_size, "accelerator_type": kind_of(model.accelerator).ray}
    return given


def engine_demand(app: str, block: Deployment, model: EngineModel, part: str = "", deployment: str = "") -> Demand:
    """What a replica with an engine takes: all on one node."""
    own = bundle(block)
    gpus = model.tensor_parallel_size if model.accelerator else 0
    kind = kind_of(model.accelerator) if model.accelerator else None
    share = Bundle(own.cpu_milli, 1000 * gpus, own.memory)
    return Demand(app, part, deployment, kind, replicas(block), (share,))
