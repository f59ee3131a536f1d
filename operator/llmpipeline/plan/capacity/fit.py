"""Whether what the deployments take fits the worker groups, and if not, why, with the numbers."""

from collections.abc import Iterator, Sequence

from llmpipeline.conditions import Accepted
from llmpipeline.kuberay.conventions import MOST_PODS
from llmpipeline.plan.capacity.accelerators import AcceleratorKind
from llmpipeline.plan.capacity.demand import Bundle, Demand, Group
from llmpipeline.plan.capacity.groups import largest_share, whole_cores
from llmpipeline.problems import Path, Problem

_WORKERS: Path = ("spec", "workers")
_DERIVE = "or leave workers out to have the groups derived"


def misfits(demands: Sequence[Demand], groups: Sequence[Group], head: Group) -> list[Problem]:
    """The deployments that given groups have no room for."""
    alone = [
        _problem(_misfit(demand, groups), _remedy(demand))
        for demand in demands
        if demand.replicas.maximum and not any(holds(group, demand) for group in (*groups, head))
    ]
    return alone or [*_too_few_gpus(demands, groups), *_too_few_cpus(demands, (*groups, head))]


def too_large(demands: Sequence[Demand]) -> Iterator[Problem]:
    """The replicas that would need a node with more GPUs than nodes have, where the groups are derived."""
    for demand in demands:
        share = largest_share(demand)
        most = demand.accelerator.facts.most_per_node if demand.accelerator else 16
        if share.gpus > most:
            message = (
                f"{demand.where}: one replica needs {_gpus(share.gpus, demand.accelerator)} on one node; nodes have at "
                f"most {most}"
            )
            remedy = "set placement: Pack and pipelineParallelSize, so that a node holds one stage"
            yield Problem(("spec", "apps"), message, remedy, Accepted.DOES_NOT_FIT)


def too_many(groups: Sequence[Group]) -> Iterator[Problem]:
    """The derived groups of more Pods than can be counted."""
    for group in groups:
        if group.most_pods > MOST_PODS:
            message = (
                f"the replicas take up to {group.most_pods} Pods of group {group.name}; at most {MOST_PODS} can be"
            )
            yield Problem(("spec", "apps"), message, "lower replicas or maxReplicas", Accepted.DOES_NOT_FIT)


def _problem(message: str, remedy: str) -> Problem:
    return Problem(_WORKERS, message, f"{remedy}, {_DERIVE}", Accepted.DOES_NOT_FIT)


def _too_few_gpus(demands: Sequence[Demand], groups: Sequence[Group]) -> Iterator[Problem]:
    """The kinds of GPU of which the minimum of all replicas needs more than all groups have at most."""
    kinds: list[AcceleratorKind | None] = list(dict.fromkeys(demand.accelerator for demand in demands if demand.gpus))
    for kind in kinds:
        # A demand of no kind in particular competes with all others.
        rivals = [demand for demand in demands if kind in (None, demand.accelerator)]
        need = sum(share.gpu_milli * demand.replicas.minimum for demand in rivals for share in demand.shares)
        have = sum(group.gpus * group.most_pods for group in groups if kind in (None, group.accelerator))
        if need > 1000 * have:
            message = f"minimum replicas need {_gpus(-(-need // 1000), kind)}; worker groups provide at most {have}"
            yield _problem(message, "raise maxReplicas or count of a group")


def _too_few_cpus(demands: Sequence[Demand], groups: Sequence[Group]) -> Iterator[Problem]:
    need = sum(share.cpu_milli * demand.replicas.minimum for demand in demands for share in demand.shares)
    have = sum(whole_cores(group.cpu_milli) * group.most_pods for group in groups)
    if need > have:
        message = f"minimum replicas need {need / 1000:g} CPUs; worker groups provide at most {have / 1000:g}"
        yield _problem(message, "raise maxReplicas or resources.cpus of a group")


def holds(group: Group, demand: Demand) -> bool:
    """Whether each share of one replica fits an empty Pod of the group."""
    if not (group.replicas.maximum and (not demand.gpus or demand.accelerator in (None, group.accelerator))):
        return False
    if demand.splits and demand.gpus:
        return group.gpus * group.most_pods >= demand.gpus
    largest = largest_share(demand)
    return (
        largest.cpu_milli <= whole_cores(group.cpu_milli)
        and largest.gpus <= group.gpus
        and largest.memory <= group.memory
        and len(demand.shares) <= group.most_pods * max(1, group.gpus // max(1, largest.gpus))
    )


def _misfit(demand: Demand, groups: Sequence[Group]) -> str:
    share = largest_share(demand)
    need = _amount(share, demand.accelerator)
    has = "; ".join(
        f"group {group.name} has {_amount(Bundle(group.cpu_milli, 1000 * group.gpus), group.accelerator)} a Pod"
        for group in groups
    )
    where = "in one Pod" if len(demand.shares) == 1 else f"in each of {len(demand.shares)} Pods"
    return f"{demand.where}: one replica needs {need} {where}; {has or 'there is no group'}"


def _amount(share: Bundle, kind: AcceleratorKind | None) -> str:
    cpus = f"{share.cpu_milli / 1000:g} CPUs"
    if not share.gpu_milli:
        return cpus
    part = f"{share.gpu_milli / 1000:g}" if share.gpu_milli % 1000 else str(share.gpus)
    return f"{_gpus(part, kind)} and {cpus}"


def _gpus(count: int | str, kind: AcceleratorKind | None) -> str:
    return f"{count} {kind} GPUs" if kind else f"{count} GPUs"


def _remedy(demand: Demand) -> str:
    wanted = "accelerator" if demand.gpus else "resources"
    return f"add a group that holds it, raise {wanted} of one"
