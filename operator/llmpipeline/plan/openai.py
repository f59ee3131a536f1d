"""An `openai` app in the terms of Ray Serve LLM."""

from typing import Any, Final

from llmpipeline.api.apps import App, ModelSource, OpenAIModel
from llmpipeline.api.deployment import Deployment
from llmpipeline.plan.deployment import actor_options, bundle, options, replicas
from llmpipeline.plan.types import Application, Bundle, Demand

IMPORT_PATH: Final = "ray.serve.llm:build_openai_app"
DEFAULT_MODEL_REQUESTS: Final = 64
DEFAULT_INGRESS_REQUESTS: Final = 256
DEFAULT_GPU_MEMORY_PERCENT: Final = 90
# What the resource has fields for may not come in by the back door of `engine.extra`.
OWN_ARGUMENTS: Final = {
    "model": "source",
    "tensor_parallel_size": "tensorParallelSize",
    "pipeline_parallel_size": "pipelineParallelSize",
    "max_model_len": "engine.maxModelLength",
    "gpu_memory_utilization": "engine.gpuMemoryUtilizationPercent",
    "dtype": "engine.dtype",
    "revision": "source.huggingFace.revision",
}
_STRATEGIES: Final = {
    "StrictPack": "STRICT_PACK",
    "Pack": "PACK",
    "Spread": "SPREAD",
    "StrictSpread": "STRICT_SPREAD",
}


def application(app: App) -> tuple[Application, tuple[Demand, ...]]:
    """The Serve application, and what its deployments take."""
    assert app.openai is not None
    ingress = app.openai.ingress or Deployment()
    models = app.openai.models
    planned = Application(
        name=app.name,
        route_prefix=app.route,
        import_path=IMPORT_PATH,
        args={
            "llm_configs": [_llm_config(model) for model in models],
            "ingress_deployment_config": {
                **options(ingress, DEFAULT_INGRESS_REQUESTS),
                "ray_actor_options": actor_options(ingress),
            },
        },
        # Ray Serve LLM writes every prompt to its log unless it is told not to.
        runtime_env={"env_vars": {"RAYLLM_ENABLE_REQUEST_PROMPT_LOGS": "0"}},
        secrets=tuple(secret for model in models for secret in _secrets(model.source)),
    )
    demands = [_demand(app.name, model) for model in models]
    front = Demand(f"app {app.name}, ingress", None, replicas(ingress), (bundle(ingress),))
    return planned, (*demands, front)


def deployment_name(model: str) -> str:
    """Ray's name for the part of a model's deployment that comes after `LLMServer:`."""
    return model.replace("/", "--").replace(".", "_")


def strategy(model: OpenAIModel) -> str:
    """How the GPUs of one replica are placed, in the resource's words."""
    return model.placement or "StrictPack"


def _llm_config(model: OpenAIModel) -> dict[str, Any]:
    workers = model.tensor_parallel_size * model.pipeline_parallel_size
    worker: dict[str, Any] = {"CPU": 1}
    if model.accelerator:
        worker = {"GPU": 1, f"accelerator_type:{model.accelerator.type}": 0.001}
    config: dict[str, Any] = {"model_loading_config": _loading(model)}
    if model.accelerator:
        config["accelerator_type"] = model.accelerator.type
    return config | {
        "engine_kwargs": _engine(model),
        # One-GPU bundles, and never num_gpus on the actor as well: that would count the first GPU twice.
        "placement_group_config": {"bundles": [worker] * workers, "strategy": _STRATEGIES[strategy(model)]},
        "deployment_config": {
            **options(model, DEFAULT_MODEL_REQUESTS),
            "ray_actor_options": {key: value for key, value in actor_options(model).items() if key != "num_gpus"},
        },
    }


def _loading(model: OpenAIModel) -> dict[str, Any]:
    source = model.source
    if source.uri:
        return {"model_id": model.name, "model_source": {"bucket_uri": source.uri}}
    return {
        "model_id": model.name,
        "model_source": source.hugging_face.repository if source.hugging_face else source.path,
    }


def _engine(model: OpenAIModel) -> dict[str, Any]:
    engine = model.engine
    arguments: dict[str, Any] = dict(engine.extra or {}) if engine else {}
    arguments["tensor_parallel_size"] = model.tensor_parallel_size
    arguments["pipeline_parallel_size"] = model.pipeline_parallel_size
    if model.accelerator:
        percent = engine.gpu_memory_utilization_percent if engine else None
        arguments["gpu_memory_utilization"] = (percent or DEFAULT_GPU_MEMORY_PERCENT) / 100
    if engine and engine.max_model_length:
        arguments["max_model_len"] = engine.max_model_length
    if engine and engine.dtype:
        arguments["dtype"] = engine.dtype
    if model.source.hugging_face and model.source.hugging_face.revision:
        arguments["revision"] = model.source.hugging_face.revision
    return arguments


def _secrets(source: ModelSource) -> tuple[tuple[str, str, str], ...]:
    token = source.hugging_face.token_secret_ref if source.hugging_face else None
    return (("HF_TOKEN", token.name, token.key),) if token else ()


def _demand(app: str, model: OpenAIModel) -> Demand:
    """StrictPack keeps a replica in one Pod, StrictSpread gives each GPU its own; else a Pod holds a pipeline stage.

    The replica's own actor shares the first bundle with the engine's first worker.
    """
    own = bundle(model)
    each = Bundle(gpus=1) if model.accelerator else Bundle(cpu_milli=1000)
    total = model.tensor_parallel_size * model.pipeline_parallel_size
    stages = {"StrictPack": 1, "StrictSpread": total}.get(strategy(model), model.pipeline_parallel_size)
    workers = total // stages
    stage = Bundle(each.cpu_milli * workers, each.gpus * workers)
    first = Bundle(stage.cpu_milli + own.cpu_milli, stage.gpus, own.memory)
    return Demand(
        where=f"app {app}, model {model.name}",
        accelerator=model.accelerator.type if model.accelerator else None,
        replicas=replicas(model),
        shares=(first, *[stage] * (stages - 1)),
        splits=strategy(model) in ("Pack", "Spread"),
    )
