"""Events on pipelines: posted beside the work, few of each pipeline, and the same one once with a count."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from llmpipeline import names
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.names import Key
from llmpipeline.status.news import News

logger = logging.getLogger(__name__)

# Of one pipeline: so many at once, and then one in so many seconds.
BURST: Final = 10
SECONDS_PER_EVENT: Final = 60.0
# What waits to be posted; if the API server is slow, the rest is in the log alone.
_MOST_WAITING: Final = 1000
# Events that are remembered, to be counted if they come again within this time.
_MOST_REMEMBERED: Final = 2000
_SAME_SECONDS: Final = 600.0
# The API server takes notes of at most 1,024 bytes.
_LONGEST_NOTE: Final = 1000


class _Wanted(NamedTuple):
    """An event, and what it is about."""

    key: Key
    uid: str
    news: News


@dataclass(slots=True)
class _Posted:
    """An event that is there: its name, how often it has come, and when it came last (monotonic)."""

    name: str
    count: int
    last: float


class EventRecorder:
    """Posts events. Losing some harms nothing: what is so stands in the status."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: asyncio.Queue[_Wanted] = asyncio.Queue(_MOST_WAITING)
        self._posted: OrderedDict[_Wanted, _Posted] = OrderedDict()
        # When the allowance of a pipeline will be whole again (monotonic): a bucket that leaks.
        self._whole: dict[Key, float] = {}

    def note(self, key: Key, uid: str, news: Iterable[News]) -> None:
        """Has them posted soon, or not at all if there are too many."""
        for item in news:
            if self._is_allowed(key) and not self._waiting.full():
                self._waiting.put_nowait(_Wanted(key, uid, item))

    def forget(self, key: Key) -> None:
        """The pipeline is gone."""
        self._whole.pop(key, None)

    def _is_allowed(self, key: Key) -> bool:
        now = time.monotonic()
        whole = max(self._whole.get(key, now), now) + SECONDS_PER_EVENT
        if whole - now > BURST * SECONDS_PER_EVENT:
            return False
        self._whole[key] = whole
        return True

    async def run(self) -> None:
        """Posts until it is cancelled."""
        while True:
            wanted = await self._waiting.get()
            try:
                await self._post(wanted)
            except (RequestRejected, Unreachable) as error:
                logger.debug("%s/%s: an event was not posted: %s", *wanted.key, error)

    async def _post(self, wanted: _Wanted) -> None:
        now, posted = time.monotonic(), self._posted.get(wanted)
        if posted and now - posted.last < _SAME_SECONDS:
            posted.count, posted.last = posted.count + 1, now
            await self._cluster.count_event(Key(wanted.key.namespace, posted.name), posted.count, _now())
        else:
            name = f"{wanted.key.name}.{time.time_ns():x}"
            await self._cluster.create_event(_manifest(wanted, name))
            self._posted[wanted] = _Posted(name, 1, now)
        self._posted.move_to_end(wanted)
        while len(self._posted) > _MOST_REMEMBERED:
            self._posted.popitem(last=False)


def _manifest(wanted: _Wanted, name: str) -> dict[str, Any]:
    namespace, about = wanted.key
    note = wanted.news.message.encode()[:_LONGEST_NOTE].decode(errors="ignore")
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": _now(),
        "type": wanted.news.type,
        "reason": wanted.news.reason,
        "note": note,
        "action": "Reconcile",
        "reportingController": names.FIELD_MANAGER,
        "reportingInstance": names.FIELD_MANAGER,
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": namespace,
            "name": about,
            "uid": wanted.uid,
        },
    }


def _now() -> str:
    """With microseconds, as events have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
