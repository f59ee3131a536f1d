"""Placing replicas into Pods: how many Pods hold them, and what is left of those that there are.

Largest first, as many in a Pod as fit. Ray may place them in another way, but never better by more than a Pod or so.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from llmpipeline.plan.capacity.demand import Bundle

# As good as no limit.
MANY: Final = 10**9


@dataclass(frozen=True, slots=True)
class Room:
    """Pods with as much left, each: and how many there are of them.

    Pods alike are one entry, so that ten thousand of them take no longer than one.
    """

    left: Bundle
    count: int


def pods_for(shares: Iterable[tuple[Bundle, int]], pod: Bundle, most_alike: int = MANY) -> int:
    """How many Pods of this size hold all of these: each share with how many of it there are.

    Args:
        shares: The shares; each fits into an empty Pod.
        pod: What a Pod has.
        most_alike: At most so many of one share in a Pod.
    """
    return sum(room.count for room in packed(shares, pod, most_alike))


def packed(shares: Iterable[tuple[Bundle, int]], pod: Bundle, most_alike: int = MANY) -> list[Room]:
    """What such Pods have left with all of these in them; as `pods_for` counts them."""
    rooms: list[Room] = []
    # With a limit, equal shares of two deployments may be in one Pod.
    for share, count in largest_first(_merged(shares) if most_alike == MANY else shares):
        rooms, more = place(rooms, share, count, most_alike)
        fresh, _ = place([Room(pod, more)], share, more, most_alike)
        rooms += [room for room in fresh if room.left != pod]
    return rooms


def _merged(shares: Iterable[tuple[Bundle, int]]) -> Iterable[tuple[Bundle, int]]:
    alike: Counter[Bundle] = Counter()
    for share, count in shares:
        alike[share] += count
    return alike.items()


def largest_first(shares: Iterable[tuple[Bundle, int]]) -> list[tuple[Bundle, int]]:
    """The order in which they are placed."""
    return sorted(shares, key=lambda item: (-item[0].gpu_milli, -item[0].cpu_milli, -item[0].memory))


def place(rooms: Sequence[Room], share: Bundle, count: int, most_alike: int = MANY) -> tuple[list[Room], int]:
    """Places replicas into the first rooms that hold them; returns the rooms as they are then, and how many remain."""
    filled: list[Room] = []
    for index, room in enumerate(rooms):
        if not count:
            filled += rooms[index:]
            break
        each = min(most_alike, _holds(room.left, share))
        full = min(room.count, count // each) if each > 0 else 0
        count -= full * each
        part = count if each > 0 and full < room.count else 0
        count -= part
        for placed, alike in ((each, full), (part, 1 if part else 0)):
            if alike:
                filled.append(Room(_less(room.left, share, placed), alike))
        untouched = room.count - full - (1 if part else 0)
        if untouched:
            filled.append(Room(room.left, untouched))
    return filled, count


def missing(rooms: Iterable[Room], share: Bundle, count: int, most_alike: int = MANY) -> int:
    """How many of so many replicas find no place in the rooms."""
    for room in rooms:
        if count <= 0:
            return 0
        count -= min(most_alike, _holds(room.left, share)) * room.count
    return max(0, count)


def _holds(left: Bundle, share: Bundle) -> int:
    """How many of a share fit."""
    cpus = left.cpu_milli // share.cpu_milli if share.cpu_milli else MANY
    gpus = left.gpu_milli // share.gpu_milli if share.gpu_milli else MANY
    memory = left.memory // share.memory if share.memory else MANY
    return max(0, min(cpus, gpus, memory))


def _less(left: Bundle, share: Bundle, count: int) -> Bundle:
    return Bundle(
        left.cpu_milli - count * share.cpu_milli,
        left.gpu_milli - count * share.gpu_milli,
        left.memory - count * share.memory,
    )
