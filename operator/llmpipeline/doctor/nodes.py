"""The GPUs of a cluster by type, from its Nodes and Pods. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from llmpipeline.api.accelerator import PARTITION
from llmpipeline.api.quantity import ceil_units
from llmpipeline.doctor.gpu_types import BUILT_IN, MIG, Known, matching, of_resource, resources_of
from llmpipeline.names import Manifest

_SLICE: Final = re.compile(PARTITION)


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
        is_known: Whether the type has a name in pipelines.
        selectable: Whether a pipeline's `accelerator` selects these: the type is known, and the slice too.
        classes: The classes whose pipelines alone can name the type; empty: all can.
        nodes: Nodes that are Ready and take Pods, with how many each offers.
        free: How many are free on each of them; None where the Pods could not be read.
        set_apart: Nodes that are cordoned or not Ready, with how many each offers.
    """

    type: str
    partition: str
    labelled: bool
    is_known: bool
    selectable: bool
    classes: tuple[str, ...]
    nodes: Mapping[str, int]
    free: Mapping[str, int] | None
    set_apart: Mapping[str, int]


def node(manifest: Manifest, types: Sequence[Known] = BUILT_IN) -> Node:
    """A Node as far as its GPUs go."""
    conditions = manifest["status"].get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return Node(
        name=manifest["metadata"]["name"],
        labels=manifest["metadata"].get("labels") or {},
        gpus=_gpus(manifest["status"].get("allocatable"), resources_of(types)),
        usable=ready and not manifest["spec"].get("unschedulable", False),
    )


def claim(manifest: Manifest, types: Sequence[Known] = BUILT_IN) -> Claim:
    """What a Pod takes of its node: init containers run one after another and before the others, sidecars beside."""
    spec = manifest["spec"]
    inits = spec.get("initContainers") or ()
    beside = [item for item in inits if item.get("restartPolicy") == "Always"]
    known = resources_of(types)
    needs = [_needs(item, known) for item in (*spec["containers"], *beside)]
    first = [_needs(item, known) for item in inits if item.get("restartPolicy") != "Always"]
    resources = {resource for need in (*needs, *first) for resource in need}
    gpus = {
        resource: max(sum(need.get(resource, 0) for need in needs), *(need.get(resource, 0) for need in first), 0)
        for resource in resources
    }
    return Claim(spec.get("nodeName", ""), gpus)


def supplies(nodes: Sequence[Node], claims: Iterable[Claim] | None, types: Sequence[Known] = BUILT_IN) -> list[Supply]:
    """The GPUs of a cluster by type, in the order of their names."""
    taken = _taken(claims) if claims is not None else None
    by_kind: dict[_Kind, list[Node]] = {}
    for item in nodes:
        for resource in item.gpus:
            by_kind.setdefault(_kind(item, resource, types), []).append(item)
    return [_supply(kind, having, taken) for kind, having in sorted(by_kind.items(), key=lambda item: item[0])]


def offering_none(nodes: Iterable[Node], types: Sequence[Known] = BUILT_IN) -> list[str]:
    """The nodes that are labelled as having GPUs and offer none: their driver or device plugin is at fault."""
    # Of a built-in type any value says so. A class may use a label that other nodes have for something else.
    built_in = {label for item in types if not item.of_class for label in item.facts.labels}
    return [
        item.name
        for item in nodes
        if not item.gpus and (built_in & set(item.labels) or matching(types, item.labels)[0])
    ]


class _Kind(NamedTuple):
    name: str
    resource: str
    classes: tuple[str, ...]
    is_known: bool


def _kind(at: Node, resource: str, types: Sequence[Known]) -> _Kind:
    """What the labels of a node say of one of its resources."""
    possible = of_resource(types, resource)
    name, classes = matching(possible, at.labels)
    if name:
        return _Kind(name, resource, classes, is_known=True)
    labels = dict.fromkeys(label for item in possible if not item.of_class for label in item.facts.labels)
    said = next((at.labels[label] for label in labels if label in at.labels), resource)
    return _Kind(said, resource, (), is_known=False)


def _supply(kind: _Kind, having: Sequence[Node], taken: Mapping[tuple[str, str], int] | None) -> Supply:
    name, resource, classes, is_known = kind
    partition = resource.removeprefix(MIG) if resource.startswith(MIG) else ""
    usable = {item.name: item.gpus[resource] for item in having if item.usable}
    return Supply(
        type=name,
        partition=partition,
        labelled=name != resource,
        is_known=is_known,
        selectable=is_known and (not partition or bool(_SLICE.fullmatch(partition))),
        classes=classes,
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


def _needs(container: Manifest, known: frozenset[str]) -> dict[str, int]:
    # Of these resources a request may only be given as equal to the limit.
    resources = container.get("resources") or {}
    return _gpus((resources.get("requests") or {}) | (resources.get("limits") or {}), known)


def _gpus(quantities: Mapping[str, str] | None, known: frozenset[str]) -> dict[str, int]:
    items = (quantities or {}).items()
    counts = {name: ceil_units(count) for name, count in items if name in known or name.startswith(MIG)}
    return {name: count for name, count in counts.items() if count}
