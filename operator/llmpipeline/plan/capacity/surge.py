"""Which deployments start a new replica before they stop an old one, when an update replaces them.

It needs room for one replica more. Derived worker groups have it; given ones may not, and then an update would wait
for ever.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmpipeline.kuberay.ray_versions import has_surge
from llmpipeline.plan.capacity.demand import Bundle, Demand, Group
from llmpipeline.plan.capacity.groups import largest_share, whole_cores
from llmpipeline.plan.capacity.packing import Room, largest_first, missing, place


@dataclass(frozen=True, slots=True)
class _Rooms:
    """What is left of a worker group."""

    group: Group
    rooms: tuple[Room, ...]


@dataclass(frozen=True, slots=True)
class Surge:
    """What an update does with the replicas of each deployment that the operator can name.

    Attributes:
        starts_first: Those that start a new replica before they stop an old one.
        waits: Those among them for which the groups have no room, so that an update waits for it.
        stops_first: Those that stop an old replica first because there is no room for one more.
        too_old: Those that should start first, and Ray is too old for it.
    """

    starts_first: tuple[Demand, ...] = ()
    waits: tuple[Demand, ...] = ()
    stops_first: tuple[Demand, ...] = ()
    too_old: tuple[Demand, ...] = ()


def as_ray_can(demands: Sequence[Demand], ray_version: str) -> tuple[Demand, ...]:
    """The demands as this Ray can update them: an older one stops the old replica first, whatever the user wants."""
    if has_surge(ray_version):
        return tuple(demands)
    return tuple(replace(demand, order="StopFirst") for demand in demands)


def surge(demands: Sequence[Demand], ray_version: str, given: Sequence[Group], head: Group) -> Surge:
    """What an update does.

    Args:
        demands: What all deployments take, as the user wants them.
        ray_version: The version of Ray.
        given: The worker groups, if the user gave them; derived groups have room by their making.
        head: What replicas may take of the head.
    """
    if not has_surge(ray_version):
        return Surge(too_old=tuple(demand for demand in demands if demand.serve and demand.order == "StartFirst"))
    asking = [demand for demand in demands if demand.serve and demand.order != "StopFirst"]
    if not given:
        return Surge(starts_first=tuple(asking))
    rooms = _left(demands, (*given, head))
    cramped = [demand for demand in asking if not _has_room(demand, rooms)]
    stops_first = tuple(demand for demand in cramped if demand.order is None)
    waits = tuple(demand for demand in cramped if demand.order == "StartFirst")
    return Surge(tuple(demand for demand in asking if demand not in stops_first), waits, stops_first)


def _left(demands: Sequence[Demand], groups: Sequence[Group]) -> list[_Rooms]:
    """What all replicas leave of the groups at their maximum."""
    # Replicas without GPUs are placed where there are none, as far as they find room there.
    by_gpus = sorted(groups, key=lambda group: group.gpus)
    rooms = [_Rooms(group, (Room(_pod(group), group.most_pods),)) for group in by_gpus if group.most_pods]
    # Those of any GPU come last, because they fit wherever something is left.
    for wanted in (True, False):
        chosen = [demand for demand in demands if (demand.accelerator is not None) is wanted]
        pieces = [(share, number) for number, demand in enumerate(chosen) for share in _shares(demand)]
        for share, number in largest_first(pieces):
            demand = chosen[number]
            rooms = _placed(rooms, demand, share, _shares(demand)[share] * demand.replicas.maximum)
    return rooms


def _has_room(demand: Demand, rooms: list[_Rooms]) -> bool:
    shares = _shares(demand)
    *others, (last, count) = shares.items()
    for share, number in others:
        if _missing(rooms, demand, share, number * demand.surge):
            return False
        rooms = _placed(rooms, demand, share, number * demand.surge)
    return not _missing(rooms, demand, last, count * demand.surge)


def _missing(rooms: Sequence[_Rooms], demand: Demand, share: Bundle, count: int) -> int:
    """How many of a share find no place."""
    fitting = (room for item in rooms if _may_hold(item.group, demand, share) for room in item.rooms)
    return missing(fitting, share, count)


def _placed(rooms: Sequence[_Rooms], demand: Demand, share: Bundle, count: int) -> list[_Rooms]:
    """The rooms with so many of a share in them, those of the replica's own size first."""
    filled = list(rooms)
    own = largest_share(demand).gpus
    for index in sorted(range(len(filled)), key=lambda at: filled[at].group.gpus != own):
        item = filled[index]
        if count and _may_hold(item.group, demand, share):
            left, count = place(item.rooms, share, count)
            filled[index] = _Rooms(item.group, tuple(left))
    return filled


def _may_hold(group: Group, demand: Demand, share: Bundle) -> bool:
    return not share.gpu_milli or demand.accelerator in (None, group.accelerator)


def _pod(group: Group) -> Bundle:
    return Bundle(whole_cores(group.cpu_milli), 1000 * group.gpus, group.memory)


def _shares(demand: Demand) -> Counter[Bundle]:
    """What one replica takes, in the smallest pieces that Ray may place it in: how many of each."""
    if not (demand.splits and demand.gpus):
        return Counter(demand.shares)
    cpus = sum(share.cpu_milli for share in demand.shares)
    memory = sum(share.memory for share in demand.shares)
    return Counter({Bundle(cpus, 1000, memory): 1}) + Counter({Bundle(gpu_milli=1000): demand.gpus - 1})
