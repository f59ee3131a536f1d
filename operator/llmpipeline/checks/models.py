"""What models get wrong: engine arguments that have a field, GPUs that are asked for twice, tokens, topologies."""

from collections.abc import Iterator
from typing import Final

from llmpipeline.api.accelerator import OnAccelerator
from llmpipeline.api.base import Part, parts
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.generate import EngineModel
from llmpipeline.api.model_source import Engine, HuggingFace
from llmpipeline.api.pipeline import Spec
from llmpipeline.problems import Problem

# What the resource has fields for may not come in by the back door of `engine.extra`.
OWN_ARGUMENTS: Final = {
    "model": "source",
    "tensor_parallel_size": "tensorParallelSize",
    "pipeline_parallel_size": "pipelineParallelSize",
    "max_model_len": "engine.maxModelLength",
    "gpu_memory_utilization": "engine.gpuMemoryUtilizationPercent",
    "dtype": "engine.dtype",
    "revision": "source.huggingFace.revision",
    "runner": "task",
    "enable_lora": "lora",
    "max_loras": "lora.maxAdapters",
    "max_lora_rank": "lora.maxRank",
}


def problems(spec: Spec) -> Iterator[Problem]:
    """All of them, each with the field that is to blame."""
    yield from _engine_arguments(spec)
    yield from _gpus(spec)
    yield from _tokens(spec)
    yield from _topologies(spec)


def _engine_arguments(spec: Spec) -> Iterator[Problem]:
    for engine in parts(spec, Engine, ("spec",)):
        for argument in engine.value.extra or {}:
            if argument in OWN_ARGUMENTS:
                message = f"the engine argument {argument} has a field of its own"
                yield Problem((*engine.at, "extra", argument), message, f"use {OWN_ARGUMENTS[argument]}")


def _gpus(spec: Spec) -> Iterator[Problem]:
    for block in parts(spec, Deployment, ("spec",)):
        if block.value.resources and block.value.resources.gpus and _has_accelerator(block):
            message = "the GPUs of a model are those of accelerator and its parallel sizes"
            yield Problem((*block.at, "resources", "gpus"), message, "leave it out")


def _has_accelerator(block: Part[Deployment]) -> bool:
    """Whether a deployment's GPUs are those of a model: its own, the one that it holds, or the one that holds it."""
    around = (block.value, block.holder, *(value for _, value in block.value))
    return any(isinstance(part, OnAccelerator) for part in around)


def _tokens(spec: Spec) -> Iterator[Problem]:
    seen: set[tuple[str, str]] = set()
    for hub in parts(spec, HuggingFace, ("spec",)):
        token = hub.value.token_secret_ref
        if not token:
            continue
        seen.add((token.name, token.key))
        if len(seen) > 1:
            message = "the models of one pipeline share their Pods, and so one Hugging Face token"
            yield Problem((*hub.at, "tokenSecretRef"), message, "use one Secret, or two pipelines")


def _topologies(spec: Spec) -> Iterator[Problem]:
    """The engines of our own ask Ray for GPUs alone."""
    for model in parts(spec, EngineModel, ("spec",)):
        if model.value.accelerator and model.value.accelerator.topology:
            message = "generate runs on GPUs"
            yield Problem((*model.at, "accelerator", "topology"), message, "use an openai app for TPUs")
