"""Which deployments start a new replica before they stop an old one, when an update replaces them.

It needs room for one replica more. Derived worker groups have it; given ones may not, and then an update would wait
for ever.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmpipeline.kuberay.ray_versions import has_surge
from llmpipeline.plan.capacity.demand import Bundle, Demand, Group
from llmpipeline.plan.capacity.groups import whole_cores
from llmpipeline.plan.capacity.packing import Room, largest_first, place


def ordered(demands: Sequence[Demand], ray_version: str) -> tuple[Demand, ...]:
    """The demands as this Ray can update them: an older one stops the old replica first, whatever the user wants."""
    if has_surge(ray_version):
        return tuple(demands)
    return tuple(replace(demand, order="StopFirst") for demand in demands)


@dataclass(frozen=True, slots=True)
class Surge:
    """What an update does with the replicas of each deployment that the operator can name.

    Attributes:
        starts_first: Those that start a new replica before they stop an old one.
        waits: Those among them for which the groups have no room, so that an update waits for it.
        stops_first: Those that stop an old replica first because there is no room for one more.
    """

    starts_first: tuple[Demand, ...]
    waits: tuple[Demand, ...]
    stops_first: tuple[Demand, ...]


def surge(demands: Sequence[Demand], groups: Sequence[Group], head: Group) -> Surge:
    """What an update does.

    Args:
        demands: What all deployments take, as `ordered` gives them.
        groups: The worker groups.
        head: What replicas may take of the head.
    """
    rooms = _left(demands, (*groups, head))
    asking = [demand for demand in demands if demand.serve and demand.order != "StopFirst"]
    cramped = [demand for demand in asking if not _has_room(demand, rooms)]
    stops_first = tuple(demand for demand in cramped if demand.order is None)
    waits = tuple(demand for demand in cramped if demand.order == "StartFirst")
    return Surge(tuple(demand for demand in asking if demand not in stops_first), waits, stops_first)


def _left(demands: Sequence[Demand], groups: Sequence[Group]) -> list[tuple[Group, list[Room]]]:
    """What all replicas leave of the groups at their maximum."""
    # Replicas without GPUs are placed where there are none, as far as they find room there.
    by_gpus = sorted(groups, key=lambda group: group.gpus)
    rooms = [(group, [Room(_pod(group), group.most_pods)]) for group in by_gpus if group.most_pods]
    by_size = largest_first((share, index) for index, demand in enumerate(demands) for share in _shares(demand))
    for share, index in by_size:
        demand = demands[index]
        rooms, _ = _placed(rooms, demand, share, _shares(demand)[share] * demand.replicas.maximum)
    return rooms


def _has_room(demand: Demand, rooms: list[tuple[Group, list[Room]]]) -> bool:
    for share, count in _shares(demand).items():
        rooms, missing = _placed(rooms, demand, share, count * demand.surge)
        if missing:
            return False
    return True


def _placed(
    rooms: list[tuple[Group, list[Room]]], demand: Demand, share: Bundle, count: int
) -> tuple[list[tuple[Group, list[Room]]], int]:
    """The rooms with so many of a share in them, and how many found no place."""
    filled = []
    for group, room in rooms:
        if not share.gpu_milli or demand.accelerator in (None, group.accelerator):
            room, count = place(room, share, count)
        filled.append((group, room))
    return filled, count


def _pod(group: Group) -> Bundle:
    return Bundle(whole_cores(group.cpu_milli), 1000 * group.gpus, group.memory)


def _shares(demand: Demand) -> Counter[Bundle]:
    """What one replica takes, in the smallest pieces that Ray may place it in: how many of each."""
    if not (demand.splits and demand.gpus):
        return Counter(demand.shares)
    cpus = sum(share.cpu_milli for share in demand.shares)
    memory = sum(share.memory for share in demand.shares)
    return Counter({Bundle(cpus, 1000, memory): 1}) + Counter({Bundle(gpu_milli=1000): demand.gpus - 1})
