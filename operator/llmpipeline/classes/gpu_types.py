"""The types of GPUs that a class adds or changes, and those that a pipeline asks for. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from llmpipeline.api.accelerator import Gpu, GpuType
from llmpipeline.api.base import parts, replaced
from llmpipeline.api.object_meta import wrong_key
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.pipeline_class import ClassSpec
from llmpipeline.api.remedies import gpu_type
from llmpipeline.plan.capacity.accelerators import TYPES, facts_of
from llmpipeline.problems import Path, Problem

_NVIDIA: Final = "nvidia.com/"


def wrong_labels(spec: ClassSpec) -> Iterator[Problem]:
    """Keys that no label of a node can have: the API server would accept them here, and then reject the Pods."""
    for index, given in enumerate(spec.gpu_types):
        for key in given.node_labels or ():
            if wrong := wrong_key(key):
                yield Problem(("spec", "gpuTypes", index, "nodeLabels", key), *wrong)


def unusable(spec: Spec, of_class: ClassSpec, remedy: str) -> Iterator[Problem]:
    """The types that a pipeline cannot have, or not together.

    Args:
        spec: The pipeline's.
        of_class: That of its class.
        remedy: What to do if a type is missing.
    """
    given = _by_name(of_class)
    rays: dict[str, str] = {}
    for part in parts(spec, Gpu, ("spec",)):
        name = part.value.type
        at: Path = (*part.at, "type")
        if name not in TYPES and name not in given:
            yield _unknown(at, name, given, remedy)
            continue
        facts = facts_of(name, given.get(name))
        if part.value.partition and not facts.resource.startswith(_NVIDIA):
            yield Problem((*part.at, "partition"), "partition is for NVIDIA GPUs", f"{name} is {facts.resource}")
        other = rays.setdefault(facts.ray, name)
        if other != name:
            message = f"Ray cannot distinguish {name} from {other}: it knows both as {facts.ray}"
            yield Problem(at, message, "use one of them, or ask an administrator for another rayName")


def typed(spec: Spec, of_class: ClassSpec) -> Spec:
    """The spec in which each kind of GPU has what the class says of it."""
    given = _by_name(of_class)
    if not given:
        return spec
    return replaced(spec, Gpu, lambda kind: kind.with_type(given[kind.type]) if kind.type in given else kind)


def _by_name(of_class: ClassSpec) -> Mapping[str, GpuType]:
    return {given.name: given for given in of_class.gpu_types}


def _unknown(at: Path, name: str, given: Mapping[str, GpuType], remedy: str) -> Problem:
    known = (*TYPES, *(added for added in given if added not in TYPES))
    meant = gpu_type(name, known)
    known_are = f"{'The' if meant else 'the'} known types are {', '.join(known)}"
    return Problem(at, f"there is no GPU type {name}", f"{meant} {known_are}; {remedy}".strip())
