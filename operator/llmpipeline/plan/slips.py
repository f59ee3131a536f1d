"""What is well formed and most likely means something else: one sentence for each such slip."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from llmpipeline.api.base import Model, parts
from llmpipeline.api.code import UserCode
from llmpipeline.api.deployment import Deployment, Resources
from llmpipeline.api.generate import EngineModel
from llmpipeline.api.graph import GenerateNode, Message
from llmpipeline.api.image import image_of
from llmpipeline.api.model_source import Engine, ModelSource
from llmpipeline.api.openai import OpenAIModel
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.pods import PodSettings
from llmpipeline.api.quantity import amount
from llmpipeline.api.ray_cluster import Head, PodResources
from llmpipeline.api.traffic_split import TrafficSplit
from llmpipeline.kuberay.conventions import HEAD_CONTAINER, WORKER_CONTAINER
from llmpipeline.problems import Path, format_path

_VERSION: Final = re.compile(r"v?([0-9]+\.[0-9]+\.[0-9]+)(?![0-9.])")
_LEAST_MEMORY: Final = 64 * 1024**2
_FOREIGN_CASE: Final = re.compile(r"-|[a-z0-9][A-Z]")
_PLACEHOLDER: Final = re.compile(r"\{\s*[A-Za-z_][A-Za-z0-9_.]*\s*\}")
_TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
# A longer one is no argument that somebody misspelled.
_LONGEST_NAME: Final = 64
_OFFLINE: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
# What people call it who know KubeRay's samples or other operators.
_RAY_CONTAINERS: Final = ("ray", "head", "worker")
_ROOT: Final[Path] = ("spec",)


def slips(spec: Spec) -> Iterator[str]:
    """One sentence each."""
    for look in _ALL:
        yield from look(spec)


def _version(spec: Spec) -> Iterator[str]:
    image = image_of(spec.ray.image)
    found = _VERSION.match(image.tag) if image else None
    if found and found[1] != spec.ray.version:
        yield f"ray.version is {spec.ray.version}, and the tag of ray.image says {found[1]}."


def _variant(spec: Spec) -> Iterator[str]:
    image = image_of(spec.ray.image)
    variant = image.variant if image else ""
    models = [model.at for model in parts(spec, ModelSource, _ROOT)]
    on_gpus = [place for place, model in _models(spec) if model.accelerator]
    if variant == "base" and models:
        yield f"{_listed(models)} is a model, and {spec.ray.image} has no engine: use an image with -gpu or -cpu."
    if variant == "cpu" and on_gpus:
        yield f"{_listed(on_gpus)} asks for GPUs, and {spec.ray.image} runs on CPUs: use an image with -gpu."


def _without_accelerator(spec: Spec) -> Iterator[str]:
    image = image_of(spec.ray.image)
    if image and image.variant == "cpu":
        return
    bare = [place for place, model in _models(spec) if not model.accelerator and not _asks_for_cpus(model)]
    if bare:
        yield f"{_listed(bare)} has no accelerator and runs on CPUs: for a GPU give accelerator.type."


def _models(spec: Spec) -> Iterator[tuple[Path, OpenAIModel | EngineModel]]:
    """Every model that an engine runs, with its place."""
    yield from ((part.at, part.value) for part in parts(spec, OpenAIModel, _ROOT))
    yield from ((part.at, part.value) for part in parts(spec, EngineModel, _ROOT))


def _asks_for_cpus(model: Model) -> bool:
    return isinstance(model, Deployment) and model.resources is not None and model.resources.cpus is not None


def _memory(spec: Spec) -> Iterator[str]:
    given = [(part.at, part.value.memory) for part in parts(spec, Resources, _ROOT)]
    given += [(part.at, part.value.memory) for part in parts(spec, PodResources, _ROOT)]
    small = [((*at, "memory"), memory) for at, memory in given if memory is not None and amount(memory) < _LEAST_MEMORY]
    if small:
        yield f"{_listed([at for at, _ in small])} is {small[0][1]}, which is in bytes: write a unit, like 16Gi."


def _engine_arguments(spec: Spec) -> Iterator[str]:
    given = [
        ((*engine.at, "extra"), name) for engine in parts(spec, Engine, _ROOT) for name in engine.value.extra or {}
    ]
    yield from _in_foreign_case(given, "vLLM's")


def _runtime_environments(spec: Spec) -> Iterator[str]:
    codes = parts(spec, UserCode, _ROOT)
    given = [((*code.at, "runtimeEnv"), name) for code in codes for name in code.value.runtime_env or {}]
    yield from _in_foreign_case(given, "Ray's")


def _in_foreign_case(given: list[tuple[Path, str]], whose: str) -> Iterator[str]:
    """A sentence about names in a free-form field that its reader does not know."""
    foreign = [item for item in given if _FOREIGN_CASE.search(item[1]) and len(item[1]) <= _LONGEST_NAME]
    if foreign:
        right = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", foreign[0][1]).replace("-", "_").lower()
        where = _listed([(*place, name) for place, name in foreign])
        yield f"{where}: {whose} names are in snake case here: write {right}."


def _prompts(spec: Spec) -> Iterator[str]:
    given: list[tuple[Path, str | None]] = [
        *(((*node.at, "prompt"), node.value.prompt) for node in parts(spec, GenerateNode, _ROOT)),
        *(((*it.at, "content"), it.value.content) for it in parts(spec, Message, _ROOT)),
    ]
    for at, text in given:
        found = _PLACEHOLDER.search(text or "")
        if text and found and "{{" not in text:
            place = format_path(at)
            yield f"{place} has {found[0]}, which the model gets as it stands: write {{{found[0]}}}."
            return


def _variants(spec: Spec) -> Iterator[str]:
    models = {app.name: frozenset(model.name for model in app.openai.models) for app in spec.apps if app.openai}
    for split in parts(spec, TrafficSplit, _ROOT):
        names = {variant.app: models[variant.app] for variant in split.value.variants if variant.app in models}
        if len(set(names.values())) > 1:
            yield (
                f"The apps of {format_path(split.at)} have models of different names: a request with the name of one "
                "gets 404 from the other. Give the models the same name."
            )


def _tokens(spec: Spec) -> Iterator[str]:
    plain = [it.name for it in spec.ray.env if it.name in _TOKENS and it.value is not None]
    plain += [name for code in parts(spec, UserCode, _ROOT) for name in _variables(code.value) if name in _TOKENS]
    if plain:
        remedy = "use valueFrom.secretKeyRef or tokenSecretRef"
        yield f"{plain[0]} is in plain text for all who may read this pipeline: {remedy}."


def _variables(code: UserCode) -> dict[str, object]:
    found = (code.runtime_env or {}).get("env_vars")
    return found if isinstance(found, dict) else {}


def _import_paths(spec: Spec) -> Iterator[str]:
    files = [code for code in parts(spec, UserCode, _ROOT) if ".py:" in code.value.import_path]
    if files:
        places = [(*code.at, "importPath") for code in files]
        right = files[0].value.import_path.replace(".py:", ":")
        yield f"{_listed(places)} names a file, and Python imports modules: write {right}."


def _egress(spec: Spec) -> Iterator[str]:
    policy = spec.network.policy if spec.network else None
    if policy and policy.egress_to and policy.egress == "Open":
        yield "network.policy.egressTo has no effect while network.policy.egress is Open: set egress: Closed."
    is_offline = any(it.name in _OFFLINE for it in spec.ray.env)
    hub = [model.at for model in parts(spec, ModelSource, _ROOT) if model.value.hub]
    if policy and policy.egress == "Closed" and not policy.egress_to and hub and not is_offline:
        closed = "network.policy.egress is Closed"
        yield f"{_listed(hub)} cannot be downloaded: {closed}. If it is cached, set HF_HUB_OFFLINE."


def _containers(spec: Spec) -> Iterator[str]:
    """Containers that were meant to be Ray's, which have another name."""
    for pods in parts(spec, PodSettings, _ROOT):
        right = HEAD_CONTAINER if isinstance(pods.value, Head) else WORKER_CONTAINER
        for container in _given_containers(pods.value.pod_template or {}):
            name = container.get("name")
            if (
                name in (*_RAY_CONTAINERS, HEAD_CONTAINER, WORKER_CONTAINER)
                and name != right
                and "image" not in container
            ):
                place = format_path((*pods.at, "podTemplate"))
                yield f"{place} adds a container {name} without an image: Ray's container is {right} here."
                return


def _given_containers(template: dict[str, object]) -> list[dict[str, object]]:
    spec = template.get("spec")
    containers = spec.get("containers") if isinstance(spec, dict) else None
    return [item for item in containers if isinstance(item, dict)] if isinstance(containers, list) else []


def _listed(places: Sequence[Path]) -> str:
    """The first place, and how many there are besides."""
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return f"{format_path(places[0])}{more}"


_ALL: Final[tuple[Callable[[Spec], Iterator[str]], ...]] = (
    _version,
    _variant,
    _without_accelerator,
    _memory,
    _engine_arguments,
    _prompts,
    _variants,
    _tokens,
    _runtime_environments,
    _import_paths,
    _egress,
    _containers,
)
