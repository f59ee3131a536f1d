"""A fault: which requests it is about, how often it acts, and what it does."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from support.faults.actions import Action
from support.faults.exchange import Exchange, Kind

READS: Final[tuple[Kind, ...]] = ("get", "list")
WRITES: Final[tuple[Kind, ...]] = ("write",)
WATCHES: Final[tuple[Kind, ...]] = ("watch",)
ALL: Final[tuple[Kind, ...]] = ("get", "list", "write", "watch", "lease", "other")


@dataclass
class Fault:
    """One fault.

    Attributes:
        action: What it does.
        kinds: Of which requests.
        path: A regular expression that is searched for in the path.
        method: Of which HTTP method; None: of any.
        older_than: Only on watches that begin at an older version than this.
        skip: So many that match are let through first.
        times: It acts so often; None: until it is lifted.
        chance: With which probability it acts on a request that matches.
        seed: Of that.
        least: It must have acted so often before it is over; else nothing was tested.
        hits: How often it has acted.
    """

    action: Action
    kinds: Iterable[Kind]
    path: str = ""
    method: str | None = None
    older_than: int | None = None
    skip: int = 0
    times: int | None = None
    chance: float = 1.0
    seed: object = 0
    least: int = 1
    hits: int = 0
    acting: set[Exchange] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(str(self.seed))
        self._passed = 0

    def takes(self, exchange: Exchange) -> bool:
        """Whether it acts on this request; if so it has."""
        if exchange.kind not in self.kinds or self.method not in (None, exchange.request.method):
            return False
        if not re.search(self.path, exchange.request.path):
            return False
        if self.older_than is not None and int(exchange.request.query.get("resourceVersion") or 0) >= self.older_than:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self._passed < self.skip:
            self._passed += 1
            return False
        if self._random.random() >= self.chance:
            return False
        self.hits += 1
        return True
