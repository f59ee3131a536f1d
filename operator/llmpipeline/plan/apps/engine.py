"""What a replica takes that runs an engine of its own: all of its GPUs are on one node."""

from typing import Any

from llmpipeline.api.deployment import Deployment
from llmpipeline.api.generate import EngineModel
from llmpipeline.plan.apps.deployment import actor_options, bundle, replicas
from llmpipeline.plan.capacity.accelerators import accelerator_of
from llmpipeline.plan.capacity.demand import Bundle, Demand


def engine_actor_options(block: Deployment, model: EngineModel) -> dict[str, Any]:
    """Ray's options of the replica, whose GPUs are those of its engine."""
    given = {key: value for key, value in actor_options(block).items() if key != "num_gpus"}
    if model.accelerator:
        given |= {"num_gpus": model.tensor_parallel_size, "accelerator_type": accelerator_of(model.accelerator).ray}
    return given


def engine_demand(
    app: str, serve: str, block: Deployment, model: EngineModel, part: str = "", deployment: str = ""
) -> Demand:
    """What a replica with an engine takes: all on one node."""
    own = bundle(block)
    gpus = model.tensor_parallel_size if model.accelerator else 0
    kind = accelerator_of(model.accelerator) if model.accelerator else None
    share = Bundle(own.cpu_milli, 1000 * gpus, own.memory)
    return Demand(app, part, deployment, kind, replicas(block), (share,), serve=serve, order=block.update_order)
