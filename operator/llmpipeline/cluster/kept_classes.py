"""The classes, kept from one reconciliation to the next: 10,000 pipelines need not list them 10,000 times."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from llmpipeline.cluster.client import Cluster
from llmpipeline.names import Manifest

# What is kept is forgotten when a watch says that a class changed. This is for a watch that has broken.
_SECONDS: Final = 60.0
Read = Callable[[], Awaitable[tuple[Manifest, ...]]]


class KeptClasses:
    """Reads the classes once, and gives them to everybody until one of them changes."""

    def __init__(self, cluster: Cluster, now: Callable[[], float] = time.monotonic) -> None:
        """Take the cluster to read them from; what it raises is raised, and not kept."""
        self._cluster, self._now = cluster, now
        self._reading: asyncio.Task[tuple[Manifest, ...]] | None = None
        self._kept: tuple[Manifest, ...] | None = None
        self._until = 0.0

    def forget(self) -> None:
        """Read them again: one is new, changed or gone. What is being read may be from before that."""
        self._kept = self._reading = None

    async def __call__(self) -> tuple[Manifest, ...]:
        """The classes as they were after the last change that was heard of.

        All that ask meanwhile share one read and its failure: one after another they would wait for each deadline.
        """
        if self._kept is not None and self._now() < self._until:
            return self._kept
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)

    async def _read(self) -> tuple[Manifest, ...]:
        until = self._now() + _SECONDS
        found = await self._cluster.classes()
        if self._reading is asyncio.current_task():
            self._kept, self._until = found, until
        return found
