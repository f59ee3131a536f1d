"""What the schema cannot see: fields that contradict each other across the spec, and names that are nowhere."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from llmpipeline.api.apps import App
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.models import Engine, ModelSource
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.quantity import whole
from llmpipeline.plan import batch, cluster_checks, graph_order, openai, runtime_env, traffic_split
from llmpipeline.plan.graph import kind_of, model_of
from llmpipeline.problems import Path, Problem

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


class _Model(NamedTuple):
    """A model of the spec, and where in the spec its parts are."""

    source: ModelSource
    at: Path
    engine: Engine | None = None
    engine_at: Path = ()
    block: Deployment | None = None
    block_at: Path = ()


def problems(spec: Spec) -> Iterator[Problem]:
    """All of them, each with the field that is to blame."""
    models = [model for a, app in enumerate(spec.apps) for model in _models(app, ("spec", "apps", a))]
    yield from cluster_checks.problems(spec)
    yield from runtime_env.problems(spec)
    yield from _engines(models)
    yield from _tokens(models)
    for a, app in enumerate(spec.apps):
        here = ("spec", "apps", a)
        yield from openai.problems(app, here)
        yield from _prefill(app, here)
        yield from _tpus(app, here)
        yield from batch.problems(app, here)
        yield from _limits(app, here)
        if app.graph:
            yield from graph_order.problems(app.graph, (*here, "graph"))
    yield from traffic_split.problems(spec)


def _models(app: App, here: Path) -> Iterator[_Model]:
    for m, model in enumerate(app.openai.models if app.openai else ()):
        at = (*here, "openai", "models", m)
        yield _Model(model.source, (*at, "source"), model.engine, (*at, "engine"), model, at)
    if app.generate:
        at = (*here, "generate")
        yield _Model(app.generate.model, (*at, "model"), app.generate.engine, (*at, "engine"), app.generate, at)
    if app.batch and (work := app.batch.classify or app.batch.embed):
        yield _Model(work.model, (*here, "batch", "classify" if app.batch.classify else "embed", "model"))
    for n, node in enumerate(app.graph.nodes if app.graph else ()):
        at = (*here, "graph", "nodes", n)
        inside = (*at, kind_of(node))
        if node.generate:
            yield _Model(node.generate.model, (*inside, "model"), node.generate.engine, (*inside, "engine"), node, at)
        elif source := model_of(node):
            yield _Model(source, (*inside, "tokenizer" if node.preprocess else "model"))


def _engines(models: list[_Model]) -> Iterator[Problem]:
    """Engine arguments that have a field, and GPUs that are asked for twice."""
    for model in models:
        for argument in (model.engine.extra or {}) if model.engine else ():
            if argument in OWN_ARGUMENTS:
                message = f"the engine argument {argument} has a field of its own"
                yield Problem((*model.engine_at, "extra", argument), message, f"use {OWN_ARGUMENTS[argument]}")
        yield from _own_gpus(model.block, model.block_at)


def _own_gpus(block: Deployment | None, at: Path) -> Iterator[Problem]:
    if block and block.resources and block.resources.gpus:
        message = "the GPUs of a model are those of accelerator and its parallel sizes"
        yield Problem((*at, "resources", "gpus"), message, "leave it out")


def _prefill(app: App, here: Path) -> Iterator[Problem]:
    """Prefill runs on the model's kind and number of GPUs."""
    for m, model in enumerate(app.openai.models if app.openai else ()):
        yield from _own_gpus(model.prefill, (*here, "openai", "models", m, "prefill"))


def _tpus(app: App, here: Path) -> Iterator[Problem]:
    """The engines of our own ask Ray for GPUs alone."""
    listed = app.graph.nodes if app.graph else ()
    nodes = [(("graph", "nodes", n, "generate"), node.generate) for n, node in enumerate(listed)]
    for where, model in ((("generate",), app.generate), *nodes):
        if model and model.accelerator and model.accelerator.topology:
            message = "generate runs on GPUs"
            yield Problem((*here, *where, "accelerator", "topology"), message, "use an openai app for TPUs")


def _limits(app: App, here: Path) -> Iterator[Problem]:
    blocks = (
        (("generate",), app.generate),
        (("batch",), app.batch),
        (("graph", "ingress"), app.graph and app.graph.ingress),
    )
    for where, block in blocks:
        if block and block.max_body_size is not None and not whole(block.max_body_size):
            yield Problem((*here, *where, "maxBodySize"), "no request would be short enough", "give at least 1")


def _tokens(models: list[_Model]) -> Iterator[Problem]:
    seen: set[tuple[str, str]] = set()
    for model in models:
        token = model.source.hugging_face.token_secret_ref if model.source.hugging_face else None
        if not token:
            continue
        seen.add((token.name, token.key))
        if len(seen) > 1:
            message = "the models of one pipeline share their Pods, and so one Hugging Face token"
            path = (*model.at, "huggingFace", "tokenSecretRef")
            yield Problem(path, message, "use one Secret, or two pipelines")
