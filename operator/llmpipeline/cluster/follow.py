"""Follows the objects of a kind: a list, and then a watch, of their metadata.

What is delivered says that an object changed, never what: the worker reads it. So nothing that others write into a spec
or a status comes in here, and what is kept in memory is the metadata of each object.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, NamedTuple

from llmpipeline import names
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.metadata import Metadata, WatchEvent
from llmpipeline.names import Key

logger = logging.getLogger(__name__)

# The API server ends a watch after this time, and the next one begins where it ended.
_WATCH_SECONDS: Final = 300
# It sends a bookmark about once a minute: after a longer silence the connection is dead.
_SILENT_SECONDS: Final = 90.0
# After this time everything is listed again, in case a watch has left something out.
_LIST_AGAIN_SECONDS: Final = 900.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 15.0
# The kind may be installed later, and the permission may be granted later. Most clusters lack some companion's kind.
_NOT_THERE_PAUSE: Final = 10.0
_OPTIONAL_PAUSE: Final = 60.0
_NEEDED: Final = (names.KIND, names.RAY_SERVICE_KIND, names.RAY_CLUSTER_KIND)
_NOT_FOUND, _GONE = 404, 410


class Change(NamedTuple):
    """Something about an object.

    Attributes:
        kind: Its kind.
        key: Which.
        before: What was known of it; None if nothing was.
        after: What is known of it now; None if it was deleted.
        listed: Whether a list showed it, and not a watch.
    """

    kind: str
    key: Key
    before: Metadata | None
    after: Metadata | None
    listed: bool


class Follower:
    """Follows one kind in one namespace, or in all, while it is run.

    Attributes:
        kind: The kind.
        known: What is there, as far as is known.
        listed: Set once everything has been listed, or cannot be.
        repairs: How many changes a list showed that the watch before it had left out.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: str,
        namespace: str | None,
        heard: Callable[[Change], None],
        *,
        label: str = "",
        appeared: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what to follow.

        Args:
            cluster: The cluster.
            kind: The kind.
            namespace: Where; None: in all namespaces.
            heard: Called with each change.
            label: Only objects with this label.
            appeared: Called when the kind can be listed after it could not be.
        """
        self._cluster = cluster
        self.kind = kind
        self._namespace = namespace
        self._heard = heard
        self._label = label
        self._appeared = appeared
        self._was_missing = False
        self._version = ""
        self._list_again = 0.0
        self._heard_at: float | None = None
        self.known: dict[Key, Metadata] = {}
        self.listed = asyncio.Event()
        self.repairs = 0

    @property
    def silent_seconds(self) -> float:
        """How long nothing has been heard, not even a bookmark; 0 before it is run."""
        return 0.0 if self._heard_at is None else time.monotonic() - self._heard_at

    async def run(self) -> None:
        """Lists, watches, and begins again, until it is cancelled."""
        pause, self._heard_at = _FIRST_PAUSE, time.monotonic()
        while True:
            wait, began = 0.0, time.monotonic()
            try:
                if not self._version or time.monotonic() > self._list_again:
                    await self._list()
                await self._watch()
                pause = _FIRST_PAUSE
            except RequestRejected as rejected:
                self._version, wait = "", self._pause_after(rejected)
            except Unreachable as error:
                # One that has worked for a while is opened again soon: a load balancer cuts connections now and then.
                pause = _FIRST_PAUSE if time.monotonic() - began > _LONGEST_PAUSE else pause
                wait, pause = pause, min(2 * pause, _LONGEST_PAUSE)
                logger.info("watch of %s: %s; again in %.0f s", self.kind, error, wait)
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))

    def _pause_after(self, rejected: RequestRejected) -> float:
        """Seconds until everything is listed again."""
        if rejected.status == _GONE:  # what happened since the version is no longer known
            return _FIRST_PAUSE
        if not self._was_missing:
            where = f" in {self._namespace}" if self._namespace else ""
            # Not installed, or switched off, or cluster-scoped where single namespaces are watched.
            is_choice = rejected.status == _NOT_FOUND or self.kind in (names.POD_KIND, names.CLASS_KIND)
            level = logging.INFO if is_choice else logging.WARNING
            logger.log(level, "%s%s cannot be watched: %s", self.kind, where, rejected.message)
        self._was_missing = True
        self.listed.set()
        return _NOT_THERE_PAUSE if self.kind in _NEEDED else _OPTIONAL_PAUSE

    async def _list(self) -> None:
        """What is there, and what no longer is."""
        listed: set[Key] = set()
        version = ""
        async for page in self._cluster.metadata_pages(self.kind, self._namespace, self._label):
            version = page.version
            for item in page.items:
                listed.add(item.key)
                self._note(item, listed=True)
            await asyncio.sleep(0)  # a page is decoded in milliseconds; let others work between two
        for key in self.known.keys() - listed:
            self._forget(key, listed=True)
        self._version, self._heard_at = version, time.monotonic()
        self._list_again = time.monotonic() + _LIST_AGAIN_SECONDS * random.uniform(0.9, 1.1)
        self.listed.set()
        if self._was_missing:
            self._was_missing = False
            self._appeared()

    async def _watch(self) -> None:
        events = self._cluster.watch_metadata(
            self.kind,
            self._namespace,
            self._label,
            self._version,
            seconds=_WATCH_SECONDS,
            silent_seconds=_SILENT_SECONDS,
        )
        async with aclosing(events):  # whatever ends it, its connection is closed
            async for event in events:
                self._take(event)

    def _take(self, event: WatchEvent) -> None:
        if event.metadata is None:
            if event.code == _GONE:
                raise RequestRejected(event.code, event.message)
            raise Unreachable(event.message or "the watch ended with an error")
        self._version, self._heard_at = event.metadata.version, time.monotonic()
        if event.type == "DELETED":
            self._forget(event.metadata.key, listed=False)
        elif event.type != "BOOKMARK":
            self._note(event.metadata, listed=False)

    def _note(self, metadata: Metadata, *, listed: bool) -> None:
        key, before = metadata.key, self.known.get(metadata.key)
        if before and before.version == metadata.version:
            return
        if listed and self._version:
            # The version is opaque but for its order, which is a promise since Kubernetes 1.35 and was always so.
            self.repairs += int(metadata.version) <= int(self._version)
        self.known[key] = metadata
        self._heard(Change(self.kind, key, before, metadata, listed))

    def _forget(self, key: Key, *, listed: bool) -> None:
        before = self.known.pop(key, None)
        if before:
            self._heard(Change(self.kind, key, before, None, listed))
