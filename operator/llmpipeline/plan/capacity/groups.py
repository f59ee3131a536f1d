"""Worker groups: derived from what the deployments take, or taken as the user gave them.

Everything is counted in thousandths of a core or GPU, and bytes. A node has whole cores to Ray, rounded up (`kuberay`).
"""

from collections.abc import Sequence
from typing import Final

from llmpipeline.api.defaults import (
    CPU_MILLI_PER_GPU,
    CPU_POD_MEMORY,
    CPU_POD_MILLI,
    GIB,
    HEAD_MEMORY,
    MEMORY_PER_GPU,
)
from llmpipeline.api.quantity import Range, ceil_units, milli
from llmpipeline.api.ray_cluster import Head, WorkerGroup
from llmpipeline.plan.capacity.accelerators import AcceleratorKind, accelerator_of
from llmpipeline.plan.capacity.demand import Bundle, Demand, Group
from llmpipeline.plan.capacity.packing import MANY, missing, packed, pods_for

MOST_CPU_POD: Final = 4000
MEMORY_PER_CPU: Final = 2 * GIB
LEAST_MEMORY: Final = 2 * GIB
# What Ray's control plane takes of the head's memory: not for replicas.
CONTROL_PLANE_MEMORY: Final = 2 * GIB
_ONE_GPU: Final = Bundle(gpu_milli=1000)


def head_group(head: Head | None) -> Group:
    """The head as if it were a worker group of one Pod, with what replicas may take of it."""
    wanted = head.resources if head else None
    memory = ceil_units(wanted.memory) if wanted and wanted.memory is not None else HEAD_MEMORY
    cpus = head.cpus_for_replicas if head else 0
    return Group("head", 1000 * cpus, max(0, memory - CONTROL_PLANE_MEMORY), 0, None, Range(1, 1))


def given(workers: Sequence[WorkerGroup]) -> tuple[Group, ...]:
    """The groups that the user gave, with defaults filled in."""
    return tuple(_given(worker) for worker in workers)


def derived(demands: Sequence[Demand], head: Group) -> tuple[Group, ...]:
    """The groups that the deployments need: one for each kind of GPU Pod, one of CPUs where those have no room."""
    heavy = [demand for demand in demands if demand.gpus]
    light = [demand for demand in demands if not demand.gpus]
    gpu_groups = _gpu_groups(heavy)
    if not light or _holds_all(head, light) or (gpu_groups and _spare_holds(gpu_groups, heavy, light)):
        return gpu_groups
    return (*gpu_groups, _cpu_group(light))


def _given(worker: WorkerGroup) -> Group:
    gpus = worker.accelerator.count if worker.accelerator else 0
    cpu_milli, memory = (CPU_MILLI_PER_GPU * gpus, MEMORY_PER_GPU * gpus) if gpus else (CPU_POD_MILLI, CPU_POD_MEMORY)
    if worker.resources and worker.resources.cpus is not None:
        cpu_milli = milli(worker.resources.cpus)
    if worker.resources and worker.resources.memory is not None:
        memory = ceil_units(worker.resources.memory)
    fewest = worker.max_replicas if worker.min_replicas is None else worker.min_replicas
    kind = accelerator_of(worker.accelerator) if worker.accelerator else None
    return Group(worker.name, cpu_milli, memory, gpus, kind, Range(fewest, worker.max_replicas), worker.hosts, worker)


def _gpu_groups(heavy: Sequence[Demand]) -> tuple[Group, ...]:
    """One group for each kind and number of GPUs a Pod, in order of first use. A Pod serves one share."""
    kinds: dict[tuple[AcceleratorKind | None, int], list[Demand]] = {}
    for demand in heavy:
        kinds.setdefault((demand.accelerator, demand.shares[0].gpus), []).append(demand)
    return tuple(_gpu_group(kind, gpus, members) for (kind, gpus), members in kinds.items())


def _gpu_group(kind: AcceleratorKind | None, gpus: int, members: Sequence[Demand]) -> Group:
    pods = [_of_a_pod(demand, gpus) for demand in members]
    # A Pod never needs more than all replicas together: many small parts of a GPU may be few replicas.
    everything = [(largest_share(item), (item.replicas.maximum + item.surge) * len(item.shares)) for item in members]
    most_cpu = sum(share.cpu_milli * count for share, count in everything)
    most_memory = sum(share.memory * count for share, count in everything)
    cpu_milli = max(CPU_MILLI_PER_GPU * gpus, min(most_cpu, max(pod.cpu_milli for pod in pods)))
    memory = max(MEMORY_PER_GPU * gpus, min(most_memory, max(pod.memory for pod in pods)))
    hosts = kind.hosts if kind else 1
    fewest = -(-_gpu_pods([(demand, demand.replicas.minimum) for demand in members]) // hosts)
    most = -(-_most_gpu_pods(members) // hosts)
    name = f"{kind.slug if kind else 'gpu'}-x{gpus}"
    return Group(name, whole_cores(cpu_milli), memory, gpus, kind, Range(fewest, most), hosts)


def _most_gpu_pods(members: Sequence[Demand]) -> int:
    """The Pods for all replicas, and one deployment in an update: if all are, they take the room in turns."""
    whole, parts, most_alike = _split([(demand, demand.replicas.maximum) for demand in members])
    rooms = packed(parts, _ONE_GPU, most_alike)
    more = 0
    for demand in members:
        share = Bundle(gpu_milli=demand.shares[0].gpu_milli)
        if share.gpu_milli >= 1000:
            more = max(more, demand.surge * len(demand.shares))
        elif left := missing(rooms, share, demand.surge, most_alike):
            more = max(more, pods_for([(share, left)], _ONE_GPU, most_alike))
    return whole + sum(room.count for room in rooms) + more


def _gpu_pods(members: Sequence[tuple[Demand, int]]) -> int:
    """How many Pods hold so many replicas. Parts of a GPU share one: they are packed as CPUs are."""
    whole, parts, most_alike = _split(members)
    return whole + pods_for(parts, _ONE_GPU, most_alike)


def _split(members: Sequence[tuple[Demand, int]]) -> tuple[int, list[tuple[Bundle, int]], int]:
    """The Pods of whole GPUs, the parts of GPUs with how many there are, and how many of one part a Pod may have.

    Beside whole GPUs no two replicas of one deployment are packed together: Serve spreads them over the Pods, and one
    on each would keep the whole ones out.
    """
    whole = sum(count * len(demand.shares) for demand, count in members if demand.shares[0].gpu_milli >= 1000)
    parts = [(Bundle(gpu_milli=demand.shares[0].gpu_milli), count) for demand, count in members]
    return whole, [(part, count) for part, count in parts if part.gpu_milli < 1000], 1 if whole else MANY


def _of_a_pod(demand: Demand, gpus: int) -> Bundle:
    """What a Pod must have whose GPUs are taken by such shares alone."""
    share = largest_share(demand)
    most = -(-1000 * gpus * share.cpu_milli // share.gpu_milli), -(-1000 * gpus * share.memory // share.gpu_milli)
    return Bundle(most[0], 1000 * gpus, most[1])


def _cpu_group(light: Sequence[Demand]) -> Group:
    """Pods that hold one replica of each deployment, up to four cores, or one replica if that is more.

    Their size does not depend on how many replicas there are: a change of it builds a new Ray cluster.
    """
    shares = [(share, demand) for demand in light for share in demand.shares]
    largest = max(share.cpu_milli for share, _ in shares)
    total = sum(share.cpu_milli for share, _ in shares)
    cpu_milli = whole_cores(max(largest, min(total, MOST_CPU_POD), 1000))
    memory = max(LEAST_MEMORY, MEMORY_PER_CPU * (cpu_milli // 1000))
    memory = max(memory, *(share.memory + GIB for share, _ in shares))
    pod = Bundle(cpu_milli, 0, memory)
    fewest = pods_for(((share, demand.replicas.minimum) for share, demand in shares), pod)
    most = pods_for(((share, demand.replicas.maximum + demand.surge) for share, demand in shares), pod)
    return Group("cpu", cpu_milli, memory, 0, None, Range(fewest, max(fewest, most, 1)))


def _spare_holds(groups: Sequence[Group], heavy: Sequence[Demand], light: Sequence[Demand]) -> bool:
    """Whether one GPU Pod holds all light replicas in addition to its own.

    One, because Ray places as it likes: light replicas that fill a Pod before its model comes would keep the model out.
    """
    if not any(group.replicas.minimum for group in groups):
        return False
    own = [_of_a_pod(demand, largest_share(demand).gpus) for demand in heavy]
    used = max(pod.cpu_milli for pod in own), max(pod.memory for pod in own)
    spare = [Group("", group.cpu_milli - used[0], group.memory - used[1], 0, None, Range(1, 1)) for group in groups]
    return all(_holds_all(group, light) for group in spare)


def _holds_all(group: Group, light: Sequence[Demand]) -> bool:
    """Whether one Pod of the group holds all replicas of these at their maximum, and those that an update adds."""
    shares = [(share, demand.replicas.maximum + demand.surge) for demand in light for share in demand.shares]
    cpu_milli = sum(share.cpu_milli * count for share, count in shares)
    memory = sum(share.memory * count for share, count in shares)
    return cpu_milli <= group.cpu_milli and memory <= group.memory


def largest_share(demand: Demand) -> Bundle:
    """What the largest of a replica's shares takes, each resource for itself."""
    return Bundle(
        max(share.cpu_milli for share in demand.shares),
        max(share.gpu_milli for share in demand.shares),
        max(share.memory for share in demand.shares),
    )


def whole_cores(cpu_milli: int) -> int:
    """The cores of a node as Ray counts them."""
    return -(-cpu_milli // 1000) * 1000
