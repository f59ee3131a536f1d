"""The types of GPUs that pipelines of a cluster can name: the built-in ones, and those of its classes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from llmpipeline.api.parse import parse_class
from llmpipeline.api.pipeline_class import LLMPipelineClass
from llmpipeline.classes.choose import name_of
from llmpipeline.classes.gpu_types import wrong_labels
from llmpipeline.names import Manifest
from llmpipeline.plan.capacity.accelerators import NVIDIA_RESOURCE, TYPES, AcceleratorFacts, facts_of

MIG: Final = "nvidia.com/mig-"


@dataclass(frozen=True, slots=True)
class Known:
    """A type that pipelines can name.

    Attributes:
        name: What they write.
        facts: What is known of it.
        of_class: The class that has it so; empty: it is built in.
    """

    name: str
    facts: AcceleratorFacts
    of_class: str = ""


BUILT_IN: Final = tuple(Known(name, facts) for name, facts in TYPES.items())


def known(classes: Iterable[Manifest]) -> tuple[Known, ...]:
    """The built-in types, and those of the classes that pipelines can have."""
    found = list(BUILT_IN)
    for document in classes:
        parsed = parse_class(document)
        if isinstance(parsed, LLMPipelineClass) and not list(wrong_labels(parsed.spec)):
            given = parsed.spec.gpu_types
            found += (Known(item.name, facts_of(item.name, item), name_of(document)) for item in given)
    return tuple(found)


def resources_of(types: Iterable[Known]) -> frozenset[str]:
    """What Pods ask Kubernetes for; slices of NVIDIA GPUs come on top."""
    return frozenset(item.facts.resource for item in types)


def of_resource(types: Iterable[Known], resource: str) -> list[Known]:
    """Those that a resource of a node may be."""
    whole = NVIDIA_RESOURCE if resource.startswith(MIG) else resource
    return [item for item in types if item.facts.resource == whole]


def matching(types: Sequence[Known], labels: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """The type that the labels of a node name, and the classes that alone have it; empty where there is none."""
    found = [item for item in types if any(labels.get(label) in values for label, values in item.facts.labels.items())]
    if not found:
        return "", ()
    same = [item.of_class for item in found if item.name == found[0].name]
    return found[0].name, () if "" in same else tuple(dict.fromkeys(same))
