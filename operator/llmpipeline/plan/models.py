"""Models in the terms of the bundled apps and of vLLM."""

from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.generate import EngineModel, Sampling
from llmpipeline.api.models import Accelerator, Engine, ModelSource
from llmpipeline.plan.accelerators import Kind
from llmpipeline.plan.types import Secret

DEFAULT_GPU_MEMORY_PERCENT: Final = 90
CACHE_VARIABLES: Final = {"HF_HOME": "huggingface", "LLMPIPELINE_MODEL_CACHE": "object-store"}


def source_args(source: ModelSource) -> dict[str, Any]:
    """Where a model comes from, as `llmpipeline_serve.args.ModelArgs` has it."""
    if source.hugging_face:
        hub = source.hugging_face
        return {"repository": hub.repository} | ({"revision": hub.revision} if hub.revision else {})
    return {"path": source.path} if source.path else {"uri": source.uri}


def engine_arguments(engine: Engine | None, *, on_gpu: bool) -> dict[str, Any]:
    """The arguments of vLLM's engine that the resource has fields for, and the extra ones, by vLLM's names."""
    arguments: dict[str, Any] = dict(engine.extra or {}) if engine else {}
    if on_gpu:
        percent = engine.gpu_memory_utilization_percent if engine else None
        arguments["gpu_memory_utilization"] = (percent or DEFAULT_GPU_MEMORY_PERCENT) / 100
    if engine and engine.max_model_length:
        arguments["max_model_len"] = engine.max_model_length
    if engine and engine.dtype:
        arguments["dtype"] = engine.dtype
    return arguments


def engine_args(model: EngineModel) -> dict[str, Any]:
    """A model in an engine of its own, as `llmpipeline_serve.args.EngineArgs` has it. All its GPUs are on one node."""
    engine = engine_arguments(model.engine, on_gpu=model.accelerator is not None)
    if model.tensor_parallel_size > 1:
        engine |= {"tensor_parallel_size": model.tensor_parallel_size, "distributed_executor_backend": "mp"}
    return {"model": source_args(model.model), "engine": engine}


def sampling_args(sampling: Sampling | None) -> dict[str, Any]:
    """What the user set, as `llmpipeline_serve.args.SamplingArgs` has it."""
    return sampling.model_dump(exclude_unset=True, exclude_none=True, mode="json") if sampling else {}


def kind_of(accelerator: Accelerator) -> Kind:
    """The kind of accelerator that a model runs on."""
    return Kind(accelerator.type, accelerator.partition, accelerator.topology)


def secrets(source: ModelSource | None) -> tuple[Secret, ...]:
    """The environment variables that a model's source needs from Secrets."""
    token = source.hugging_face.token_secret_ref if source and source.hugging_face else None
    return (("HF_TOKEN", token.name, token.key),) if token else ()


def cache_variables(folder: str | None) -> dict[str, str]:
    """The environment variables that keep downloaded models in this folder."""
    return {name: f"{folder.rstrip('/')}/{part}" for name, part in CACHE_VARIABLES.items()} if folder else {}


def downloads(app: App) -> bool:
    """Whether an app may bring a model from elsewhere."""
    return not (app.hello or app.traffic_split)
