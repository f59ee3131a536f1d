"""Worker groups: derived from what the deployments take, or taken as the user gave them.

Everything is counted in thousandths of a core, whole GPUs and bytes. Ray gives whole cores to a node, rounded up as
KubeRay
does it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from llmpipeline.api.quantity import milli, whole
from llmpipeline.api.ray_cluster import WorkerGroup
from llmpipeline.names import Reason
from llmpipeline.plan.types import Bundle, Demand, Group
from llmpipeline.problems import Problem

GIB: Final = 1024**3
CPU_MILLI_PER_GPU: Final = 4000
MEMORY_PER_GPU: Final = 24 * GIB
DEFAULT_CPU_POD: Final = (2000, 4 * GIB)
MOST_CPU_POD: Final = 4000
MEMORY_PER_CPU: Final = 2 * GIB
LEAST_MEMORY: Final = 2 * GIB


# Pods with as much left: CPUs in thousandths, memory in bytes, and how many there are.
Room = tuple[int, int, int]


def given(workers: Sequence[WorkerGroup]) -> tuple[Group, ...]:
    """The groups that the user gave, with defaults filled in."""
    return tuple(_given(worker) for worker in workers)


def derived(demands: Sequence[Demand]) -> tuple[Group, ...]:
    """The groups that the deployments need: one for each kind of GPU Pod, one of CPUs where those have no room."""
    heavy = [demand for demand in demands if demand.gpus]
    light = [demand for demand in demands if not demand.gpus]
    gpu_groups = _gpu_groups(heavy)
    if not light or (gpu_groups and _spare_holds(gpu_groups, heavy, light)):
        return gpu_groups
    return (*gpu_groups, _cpu_group(light))


def misfits(demands: Sequence[Demand], groups: Sequence[Group]) -> list[Problem]:
    """The deployments of which one replica fits no Pod of any group, with the numbers."""
    alone = [
        Problem(("spec", "workers"), _misfit(demand, groups), _remedy(demand), Reason.DOES_NOT_FIT)
        for demand in demands
        if demand.replicas[1] and not any(_holds(group, demand) for group in groups)
    ]
    return alone or _too_few_gpus(demands, groups)


def _too_few_gpus(demands: Sequence[Demand], groups: Sequence[Group]) -> list[Problem]:
    """The GPU types of which the fewest replicas together take more than all groups have at their most."""
    problems = []
    for kind in dict.fromkeys(demand.accelerator for demand in demands if demand.gpus and demand.accelerator):
        need = sum(demand.gpus * demand.replicas[0] for demand in demands if demand.accelerator == kind)
        have = sum(group.gpus * group.replicas[1] for group in groups if group.accelerator == kind)
        if need > have:
            message = f"the fewest replicas take {need} {kind} GPUs together; the groups have {have} at their most"
            remedy = "raise maxReplicas or count of a group, or leave workers out to have the groups derived"
            problems.append(Problem(("spec", "workers"), message, remedy, Reason.DOES_NOT_FIT))
    return problems


def _given(worker: WorkerGroup) -> Group:
    gpus = worker.accelerator.count if worker.accelerator else 0
    cpu_milli, memory = (CPU_MILLI_PER_GPU * gpus, MEMORY_PER_GPU * gpus) if gpus else DEFAULT_CPU_POD
    if worker.resources and worker.resources.cpus is not None:
        cpu_milli = milli(worker.resources.cpus)
    if worker.resources and worker.resources.memory is not None:
        memory = whole(worker.resources.memory)
    fewest = worker.max_replicas if worker.min_replicas is None else worker.min_replicas
    kind = worker.accelerator.type if worker.accelerator else None
    return Group(worker.name, cpu_milli, memory, gpus, kind, (fewest, worker.max_replicas))


def _gpu_groups(heavy: Sequence[Demand]) -> tuple[Group, ...]:
    """One group for each GPU type and number of GPUs a Pod, in order of first use. A Pod serves one share."""
    kinds: dict[tuple[str | None, int], list[Demand]] = {}
    for demand in heavy:
        kinds.setdefault((demand.accelerator, demand.shares[0].gpus), []).append(demand)
    groups = []
    for (accelerator, gpus), members in kinds.items():
        cpu_milli = max(CPU_MILLI_PER_GPU * gpus, *(_largest(demand).cpu_milli for demand in members))
        memory = max(MEMORY_PER_GPU * gpus, *(_largest(demand).memory for demand in members))
        fewest = sum(demand.replicas[0] * len(demand.shares) for demand in members)
        most = sum(demand.replicas[1] * len(demand.shares) for demand in members)
        name = f"{(accelerator or 'gpu').lower()}-x{gpus}"
        groups.append(Group(name, _whole_cores(cpu_milli), memory, gpus, accelerator, (fewest, most)))
    return tuple(groups)


def _cpu_group(light: Sequence[Demand]) -> Group:
    """Pods of up to four cores, or of one replica where that is more."""
    shares = [(share, demand.replicas) for demand in light for share in demand.shares]
    largest = max(share.cpu_milli for share, _ in shares)
    total = sum(share.cpu_milli * replicas[1] for share, replicas in shares)
    cpu_milli = _whole_cores(max(largest, min(total, MOST_CPU_POD), 1000))
    memory = max(LEAST_MEMORY, MEMORY_PER_CPU * (cpu_milli // 1000))
    memory = max(memory, *(share.memory + GIB for share, _ in shares))
    pods = [_pods(((share, replicas[bound]) for share, replicas in shares), cpu_milli, memory) for bound in (0, 1)]
    return Group("cpu", cpu_milli, memory, 0, None, (pods[0], max(*pods, 1)))


def _pods(shares: Iterable[tuple[Bundle, int]], cpu_milli: int, memory: int) -> int:
    """How many Pods hold all of these, filled largest first."""
    rooms: list[Room] = []
    for share, count in sorted(shares, key=lambda item: -item[0].cpu_milli):
        rooms, left = _fill(rooms, share, count)
        fresh, _ = _fill([(cpu_milli, memory, left)], share, left)
        rooms += fresh[: -1 if left and fresh[-1][:2] == (cpu_milli, memory) else None]
    return sum(number for _, _, number in rooms)


def _spare_holds(groups: Sequence[Group], heavy: Sequence[Demand], light: Sequence[Demand]) -> bool:
    """Whether one GPU Pod holds all light replicas beside its own.

    One, for Ray places as it likes: light replicas that fill a Pod before its model comes would keep the model out.
    """
    if not any(group.replicas[0] for group in groups):
        return False
    shares = [(share, demand.replicas[1]) for demand in light for share in demand.shares]
    cpu_milli = sum(share.cpu_milli * count for share, count in shares)
    memory = sum(share.memory * count for share, count in shares)
    used = Bundle(max(_largest(demand).cpu_milli for demand in heavy), 0, max(_largest(d).memory for d in heavy))
    return all(
        cpu_milli <= group.cpu_milli - used.cpu_milli and memory <= group.memory - used.memory for group in groups
    )


def _fill(rooms: Sequence[Room], share: Bundle, count: int) -> tuple[list[Room], int]:
    """Places replicas into the first rooms that hold them; returns the rooms as they are then, and how many are left.

    Rooms alike are one entry with their number, so that ten thousand replicas take no longer than one.
    """
    filled: list[Room] = []
    for cpu_milli, memory, number in rooms:
        each = min(cpu_milli // max(share.cpu_milli, 1), memory // max(share.memory, 1))
        full = min(number, count // each) if each > 0 else 0
        count -= full * each
        part = count if each > 0 and full < number else 0
        count -= part
        for placed, alike in ((each, full), (part, 1 if part else 0)):
            if alike:
                filled.append((cpu_milli - placed * share.cpu_milli, memory - placed * share.memory, alike))
        untouched = number - full - (1 if part else 0)
        if untouched:
            filled.append((cpu_milli, memory, untouched))
    return filled, count


def _holds(group: Group, demand: Demand) -> bool:
    """Whether each share of one replica fits an empty Pod of the group."""
    if not (group.replicas[1] and (not demand.gpus or demand.accelerator in (None, group.accelerator))):
        return False
    if demand.splits and demand.gpus:
        return group.gpus * group.replicas[1] >= demand.gpus
    largest = _largest(demand)
    return (
        largest.cpu_milli <= _whole_cores(group.cpu_milli)
        and largest.gpus <= group.gpus
        and largest.memory <= group.memory
        and len(demand.shares) <= group.replicas[1] * max(1, group.gpus // max(1, largest.gpus))
    )


def _misfit(demand: Demand, groups: Sequence[Group]) -> str:
    share = _largest(demand)
    need = f"{share.cpu_milli / 1000:g} CPUs"
    if share.gpus:
        need = f"{share.gpus} {demand.accelerator or ''} GPUs".replace("  ", " ") + f" and {need}"
    has = "; ".join(
        f"group {g.name} has {g.gpus} {g.accelerator or ''} GPUs and {g.cpu_milli / 1000:g} CPUs a Pod".replace(
            "  ", " "
        )
        for g in groups
    )
    return f"{demand.where}: one replica needs {need} in one Pod; {has or 'there is no group'}"


def _remedy(demand: Demand) -> str:
    wanted = "accelerator" if demand.gpus else "resources"
    return f"add a group that holds it, raise {wanted} of one, or leave workers out to have the groups derived"


def _largest(demand: Demand) -> Bundle:
    return Bundle(
        max(share.cpu_milli for share in demand.shares),
        max(share.gpus for share in demand.shares),
        max(share.memory for share in demand.shares),
    )


def _whole_cores(cpu_milli: int) -> int:
    return -(-cpu_milli // 1000) * 1000
