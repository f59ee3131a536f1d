"""Models and code in the terms of the bundled apps and of vLLM."""

from typing import Any

from llmpipeline.api.batch import Classify, Embed
from llmpipeline.api.code import UserCode
from llmpipeline.api.defaults import GPU_MEMORY_PERCENT
from llmpipeline.api.generate import EngineModel, Sampling
from llmpipeline.api.model_source import Engine, ModelSource
from llmpipeline.plan.apps.application import Secret
from llmpipeline_serve.contract.environment import CACHE_FOLDERS, HUB_TOKEN
from llmpipeline_serve.contract.models import ModelArgs, SamplingArgs
from llmpipeline_serve.contract.texts import ClassifierArgs, CustomArgs, EmbedderArgs, EmbedSettings


def source_args(source: ModelSource) -> ModelArgs:
    """Where a model comes from."""
    if hub := source.hub:
        return ModelArgs.of(repository=hub.repository, revision=hub.revision or None)
    return ModelArgs.of(path=source.folder, uri=source.store)


def engine_arguments(engine: Engine | None, *, on_gpu: bool) -> dict[str, Any]:
    """The arguments of vLLM's engine that the resource has fields for, and the extra ones, by vLLM's names."""
    arguments: dict[str, Any] = dict(engine.extra or {}) if engine else {}
    if on_gpu:
        percent = engine.gpu_memory_utilization_percent if engine else None
        arguments["gpu_memory_utilization"] = (percent or GPU_MEMORY_PERCENT) / 100
    if engine and engine.max_model_length:
        arguments["max_model_len"] = engine.max_model_length
    if engine and engine.dtype:
        arguments["dtype"] = engine.dtype
    return arguments


def engine_args(model: EngineModel) -> dict[str, Any]:
    """The fields of `EngineArgs` for a model in an engine of its own. All its GPUs are on one node."""
    engine = engine_arguments(model.engine, on_gpu=model.accelerator is not None)
    if model.tensor_parallel_size > 1:
        engine |= {"tensor_parallel_size": model.tensor_parallel_size, "distributed_executor_backend": "mp"}
    return {"model": source_args(model.model), "engine": engine}


def sampling_args(sampling: Sampling | None) -> SamplingArgs | None:
    """What the user set; None if that is nothing."""
    given = sampling.model_dump(exclude_unset=True, exclude_none=True) if sampling else {}
    return SamplingArgs(**given) if given else None


def classify_args(classify: Classify) -> ClassifierArgs:
    """A sequence classifier."""
    return ClassifierArgs(model=source_args(classify.model))


def embed_args(embed: Embed) -> EmbedderArgs:
    """A text encoder."""
    return EmbedderArgs(model=source_args(embed.model))


def embed_settings(embed: Embed) -> EmbedSettings:
    """How its vectors are made."""
    return EmbedSettings.of(pooling=embed.pooling and embed.pooling.lower())


def custom_args(code: UserCode) -> CustomArgs:
    """The user's own function."""
    return CustomArgs(import_path=code.import_path)


def secrets(source: ModelSource | None) -> tuple[Secret, ...]:
    """The environment variables that a model's source needs from Secrets."""
    token = source.hub.token_secret_ref if source and source.hub else None
    return ((HUB_TOKEN, token.name, token.key),) if token else ()


def cache_variables(folder: str | None) -> dict[str, str]:
    """The environment variables that keep downloaded models in this folder."""
    return {name: f"{folder.rstrip('/')}/{part}" for name, part in CACHE_FOLDERS.items()} if folder else {}
