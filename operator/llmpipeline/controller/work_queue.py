"""A queue of pipelines: each waits once, is worked on by one worker at a time, and comes back where it must.

What is new goes before what is only looked at again. Namespaces take turns, and one namespace never has all workers: so
nobody's pipelines, however many or however slow, keep those of others waiting.
"""

import asyncio
import random
import time
from collections import OrderedDict
from typing import Final

from llmpipeline.names import Key

_FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 300.0
# Attempts that fail may take this part of a pipeline's time. What the API server answers slowly is asked seldom: else a
# few huge objects of one tenant, each tried until its deadline, keep an API server slow for all.
_PART_OF_TIME: Final = 1 / 5
# Of the workers this many are left to other namespaces.
_LEFT_TO_OTHERS: Final = 4


class _Lane:
    """Keys by namespace. The namespaces take turns; in one, the first that came is the first that goes."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, OrderedDict[Key, float]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._turns.values())

    def __contains__(self, key: Key) -> bool:
        return key in self._turns.get(key.namespace, ())

    def put(self, key: Key, since: float) -> None:
        self._turns.setdefault(key.namespace, OrderedDict()).setdefault(key, since)

    def remove(self, key: Key) -> float | None:
        keys = self._turns.get(key.namespace)
        since = keys.pop(key, None) if keys else None
        if keys is not None and not keys:
            del self._turns[key.namespace]
        return since

    def next(self, active: dict[str, int], most: int) -> Key | None:
        for namespace in self._turns:
            if active.get(namespace, 0) < most:
                key = next(iter(self._turns[namespace]))
                self._turns.move_to_end(namespace)
                self.remove(key)
                return key
        return None

    def oldest(self) -> float | None:
        return min((next(iter(keys.values())) for keys in self._turns.values()), default=None)


class WorkQueue:
    """Coalesces keys. Of one event loop; nothing here waits but `take`."""

    def __init__(self, workers: int) -> None:
        self._most_of_one = max(1, workers - _LEFT_TO_OTHERS)
        self._urgent, self._routine = _Lane(), _Lane()
        self._there = asyncio.Event()
        self._active: dict[Key, float] = {}
        self._active_in: dict[str, int] = {}
        # Those to come back when their worker is done, and whether what they come back for is new.
        self._again: dict[Key, bool] = {}
        self._failures: dict[Key, int] = {}
        self._waits: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._urgent) + len(self._routine)

    @property
    def oldest_seconds(self) -> float:
        """For how long the first of those that are due has been waiting for a worker."""
        since = [oldest for lane in (self._urgent, self._routine) if (oldest := lane.oldest()) is not None]
        return time.monotonic() - min(since) if since else 0.0

    @property
    def longest_work_seconds(self) -> float:
        """For how long the slowest worker has had its key."""
        return time.monotonic() - min(self._active.values()) if self._active else 0.0

    def is_active(self, key: Key) -> bool:
        """Whether a worker has the key now."""
        return key in self._active

    def add(self, key: Key, *, urgent: bool = True) -> None:
        """Has the key worked on once more, after this call: soon, or when the worker that has it now is done.

        Args:
            key: The key.
            urgent: Something is new: it goes before what is only looked at again, and its delays are short again.
        """
        if urgent:
            self._waits.pop(key, None)
            self._failures.pop(key, None)
        if key in self._active:
            self._again[key] = self._again.get(key, False) or urgent
            return
        if urgent:
            since = self._routine.remove(key)
            self._urgent.put(key, since or time.monotonic())
        elif key not in self._urgent:
            self._routine.put(key, time.monotonic())
        self._there.set()

    def look_again(self, key: Key, within: float) -> None:
        """Has the key looked at after so many seconds, or when it is due if that is earlier; delays are short again."""
        self._waits.pop(key, None)
        self._come_back(key, within)

    def ring_all(self) -> None:
        """What waits for its time need wait no longer."""
        for key in list(self._timers):
            self._timers.pop(key).cancel()
            self.add(key, urgent=False)

    async def take(self) -> Key:
        """The next key. It must be given back by `done` or `failed`."""
        while True:
            key = self._urgent.next(self._active_in, self._most_of_one) or self._routine.next(
                self._active_in, self._most_of_one
            )
            if key:
                break
            self._there.clear()
            await self._there.wait()
        self._active[key] = time.monotonic()
        self._active_in[key.namespace] = self._active_in.get(key.namespace, 0) + 1
        self._cancel_timer(key)
        return key

    def done(self, key: Key, again_after: float | None = None) -> None:
        """The work succeeded.

        Args:
            key: The key.
            again_after: Seconds until it comes back, which double each time nothing new has come; None: it does not.
        """
        self._failures.pop(key, None)
        if again_after is None:
            self._waits.pop(key, None)
        self._release(key)
        if again_after is not None:
            count = self._waits.get(key, 0)
            self._waits[key] = count + 1
            self._come_back(key, min(again_after * 2 ** min(count, 16), max(again_after, LONGEST_DELAY)))

    def failed(self, key: Key, longest: float = LONGEST_DELAY) -> float:
        """The work failed: the key comes back after a delay that doubles with each failure. Returns the delay.

        Args:
            key: The key.
            longest: The longest delay, in seconds, unless the work took so long that it needs a longer one.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        took = time.monotonic() - self._active[key]
        longest = min(max(longest, took / _PART_OF_TIME - took), LONGEST_DELAY)
        delay: float = min(_FIRST_DELAY * 2 ** min(count, 16), longest)
        self._release(key)
        self._come_back(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """The key is gone for good."""
        for counts in (self._failures, self._waits):
            counts.pop(key, None)
        self._cancel_timer(key)

    def _release(self, key: Key) -> None:
        del self._active[key]
        self._active_in[key.namespace] -= 1
        if not self._active_in[key.namespace]:
            del self._active_in[key.namespace]
        self._there.set()  # its namespace may have a worker again
        urgent = self._again.pop(key, None)
        if urgent is not None:
            self.add(key, urgent=urgent)

    def _come_back(self, key: Key, seconds: float) -> None:
        """A key has one timer, the earliest; and none if it waits for a worker already."""
        if key in self._urgent or key in self._routine:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds * random.uniform(0.9, 1.1)
        timer = self._timers.get(key)
        if timer and timer.when() <= due:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_at(due, self._ring, key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()

    def _ring(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key, urgent=False)
