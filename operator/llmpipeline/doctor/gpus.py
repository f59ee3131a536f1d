"""Which GPUs a cluster has, and which of them pipelines can use."""

from collections.abc import Sequence
from typing import Final

from llmpipeline.doctor.gpu_types import known
from llmpipeline.doctor.nodes import Supply, offering_none, supplies
from llmpipeline.doctor.types import READ_MORE, ClusterFacts, Finding, Unread, unknown
from llmpipeline.plan.capacity.accelerators import PRODUCT_LABEL

_CHECK: Final = "GPUs"
_LISTED: Final = 3

_SELECT: Final = "add the type to spec.gpuTypes of an LLMPipelineClass, by which pipelines can name it"
_SELECT_SLICES: Final = "select their nodes, and ask for their resource, in the podTemplate of a worker group"
_LABEL: Final = (
    f"derived worker groups select nodes by labels like {PRODUCT_LABEL}: install GPU feature discovery, or "
    "name other labels of these nodes in spec.gpuTypes of an LLMPipelineClass"
)


def gpus(facts: ClusterFacts) -> list[Finding]:
    """One finding for each type of GPU, and one for nodes that should have some."""
    if isinstance(facts.nodes, Unread):
        return unknown(_CHECK, facts.nodes)
    claims = None if isinstance(facts.claims, Unread) else facts.claims
    types = known(() if isinstance(facts.classes, Unread) else facts.classes)
    found = [_supply(supply, facts) for supply in supplies(facts.nodes, claims, types)]
    if not found:
        # Not Ok: whoever has models in mind should see it. Not a Problem: pipelines on the CPU run.
        remedy = "a node autoscaler may still bring some when Pods ask for them"
        found.append(Finding(_CHECK, "Warning", "no node has any: models run on CPUs only", remedy))
    if empty := offering_none(facts.nodes, types):
        message = f"labelled with a GPU, but offering none: {_list(empty)}"
        found.append(Finding(_CHECK, "Warning", message, "check that the driver and the device plugin run there"))
    return found


def _supply(supply: Supply, facts: ClusterFacts) -> Finding:
    name = f"{supply.type} {supply.partition}".strip()
    message = f"{name}: {_count(supply)}{_set_apart(supply)}{_of_classes(supply)}"
    if not supply.labelled:
        message = f"{message}; no label says which GPUs these are: {_list([*supply.nodes, *supply.set_apart])}"
        return Finding(_CHECK, "Warning", message, _LABEL)
    if not supply.selectable:
        message = f"{message}; no accelerator.type selects these"
        if isinstance(facts.classes, Unread) and not supply.is_known:
            message = f"{message}, unless a class adds the type: {facts.classes.reason}"
        return Finding(_CHECK, "Warning", message, _SELECT_SLICES if supply.is_known else _SELECT)
    if isinstance(facts.claims, Unread):
        message = f"{message}; how many are free cannot be read: {facts.claims.reason}"
        return Finding(_CHECK, "Unknown", message, READ_MORE)
    if not supply.nodes:
        return Finding(_CHECK, "Warning", message, "see kubectl get nodes; kubectl uncordon NODE lets Pods in")
    return Finding(_CHECK, "Ok", message)


def _count(supply: Supply) -> str:
    if not supply.nodes:
        return "none that a Pod can get"
    text = f"{sum(supply.nodes.values())} on {_nodes(len(supply.nodes))}"
    if supply.free is None:
        return text
    free, most = sum(supply.free.values()), max(supply.free.values())
    # A replica with StrictPack needs all of its GPUs on one node.
    return f"{text}, {free} free{f' (at most {most} on one node)' if len(supply.nodes) > 1 and free else ''}"


def _of_classes(supply: Supply) -> str:
    several = "classes" if len(supply.classes) > 1 else "class"
    return f"; for pipelines of {several} {', '.join(supply.classes)}" if supply.classes else ""


def _set_apart(supply: Supply) -> str:
    if not supply.set_apart:
        return ""
    count, nodes = sum(supply.set_apart.values()), len(supply.set_apart)
    return f"; {count} more on {_nodes(nodes)} cordoned or not Ready"


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _list(nodes: Sequence[str]) -> str:
    more = len(nodes) - _LISTED
    return f"{', '.join(nodes[:_LISTED])}{f' and {more} more' if more > 0 else ''}"
