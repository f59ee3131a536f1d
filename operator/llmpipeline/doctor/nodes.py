"""The GPUs of a cluster by type, from its Nodes and Pods. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from llmpipeline.api.deployment import PARTITION
from llmpipeline.api.quantity import ceil_units
from llmpipeline.names import Manifest
from llmpipeline.plan.capacity.accelerators import TYPES

_NVIDIA: Final = "nvidia.com/gpu"
_MIG: Final = "nvidia.com/mig-"
_SLICE: Final = re.compile(PARTITION)
# Which labels tell the type, by resource.
_LABELS: Final[dict[str, tuple[str, ...]]] = {
    resource: tuple(
        dict.fromkeys(label for facts in TYPES.values() if facts.resource == resource for label in facts.labels)
    )
    for resource in sorted({facts.resource for facts in TYPES.values()})
}


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as far as its GPUs go.

    Attributes:
        name: Its name.
        labels: Its labels.
        gpus: How many it offers of each GPU resource; only what is not zero.
        usable: Whether it is Ready and takes new Pods.
    """

    name: str
    labels: Mapping[str, str]
    gpus: Mapping[str, int]
    usable: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What one Pod takes of a node's GPUs."""

    node: str
    gpus: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Supply:
    """The GPUs of one type.

    Attributes:
        type: Its name in a pipeline if it is known, else what the node's label says, else the resource's name.
        partition: The slice (NVIDIA MIG) that counts as one; empty for whole GPUs.
        labelled: Whether the nodes have a label that names the type.
        selectable: Whether a pipeline's `accelerator.type` selects these.
        nodes: Nodes that are Ready and take Pods, with how many each offers.
        free: How many are free on each of them; None where the Pods could not be read.
        set_apart: Nodes that are cordoned or not Ready, with how many each offers.
    """

    type: str
    partition: str
    labelled: bool
    selectable: bool
    nodes: Mapping[str, int]
    free: Mapping[str, int] | None
    set_apart: Mapping[str, int]


def node(manifest: Manifest) -> Node:
    """A Node as far as its GPUs go."""
    conditions = manifest["status"].get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return Node(
        name=manifest["metadata"]["name"],
        labels=manifest["metadata"].get("labels") or {},
        gpus=_gpus(manifest["status"].get("allocatable")),
        usable=ready and not manifest["spec"].get("unschedulable", False),
    )


def claim(manifest: Manifest) -> Claim:
    """What a Pod takes of its node: init containers run one after another and before the others, sidecars beside."""
    spec = manifest["spec"]
    inits = spec.get("initContainers") or ()
    beside = [item for item in inits if item.get("restartPolicy") == "Always"]
    needs = [_needs(item) for item in (*spec["containers"], *beside)]
    first = [_needs(item) for item in inits if item.get("restartPolicy") != "Always"]
    resources = {resource for need in (*needs, *first) for resource in need}
    gpus = {
        resource: max(sum(need.get(resource, 0) for need in needs), *(need.get(resource, 0) for need in first), 0)
        for resource in resources
    }
    return Claim(spec.get("nodeName", ""), gpus)


def supplies(nodes: Sequence[Node], claims: Iterable[Claim] | None) -> list[Supply]:
    """The GPUs of a cluster by type, in the order of their names."""
    taken = _taken(claims) if claims is not None else None
    kinds = sorted({(_type(item, resource), resource) for item in nodes for resource in item.gpus})
    return [_supply(name, resource, nodes, taken) for name, resource in kinds]


def offering_none(nodes: Iterable[Node]) -> list[str]:
    """The nodes that are labelled as having GPUs and offer none: their driver or device plugin is at fault."""
    return [item.name for item in nodes if not item.gpus and any(_labels(item, resource) for resource in _LABELS)]


def _labels(at: Node, resource: str) -> dict[str, str]:
    """Those labels of a node that name the type of its GPUs."""
    whole_resource = _NVIDIA if resource.startswith(_MIG) else resource
    return {label: at.labels[label] for label in _LABELS[whole_resource] if label in at.labels}


def _type(at: Node, resource: str) -> str:
    told = _labels(at, resource)
    for name, facts in TYPES.items():
        if any(told.get(label) in values for label, values in facts.labels.items()):
            return name
    return next(iter(told.values()), resource)


def _supply(name: str, resource: str, nodes: Iterable[Node], taken: Mapping[tuple[str, str], int] | None) -> Supply:
    having = [item for item in nodes if resource in item.gpus and _type(item, resource) == name]
    partition = resource.removeprefix(_MIG) if resource.startswith(_MIG) else ""
    usable = {item.name: item.gpus[resource] for item in having if item.usable}
    return Supply(
        type=name,
        partition=partition,
        labelled=name != resource,
        selectable=name in TYPES and (not partition or bool(_SLICE.fullmatch(partition))),
        nodes=usable,
        free=None
        if taken is None
        else {at: max(0, count - taken.get((at, resource), 0)) for at, count in usable.items()},
        set_apart={item.name: item.gpus[resource] for item in having if not item.usable},
    )


def _taken(claims: Iterable[Claim]) -> dict[tuple[str, str], int]:
    taken: dict[tuple[str, str], int] = {}
    for item in claims:
        for resource, count in item.gpus.items():
            taken[item.node, resource] = taken.get((item.node, resource), 0) + count
    return taken


def _needs(container: Manifest) -> dict[str, int]:
    # Of these resources a request may only be given as equal to the limit.
    resources = container.get("resources") or {}
    return _gpus((resources.get("requests") or {}) | (resources.get("limits") or {}))


def _gpus(quantities: Mapping[str, str] | None) -> dict[str, int]:
    counts = {name: ceil_units(count) for name, count in (quantities or {}).items() if _is_gpu(name)}
    return {name: count for name, count in counts.items() if count}


def _is_gpu(resource: str) -> bool:
    return resource in _LABELS or resource.startswith(_MIG)
