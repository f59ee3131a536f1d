"""A queue of keys: each waits once, is worked on by one worker at a time, and is tried again later where it failed."""

import asyncio
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 300.0


class WorkQueue(Generic[K]):
    """Coalesces keys. Of one event loop; nothing here waits but `take`."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def is_active(self, key: K) -> bool:
        """Whether a worker has the key now."""
        return key in self._active

    def add(self, key: K) -> None:
        """Has the key worked on once more, after this call: soon, or when the worker that has it now is done."""
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_later(self, key: K, seconds: float) -> None:
        """As `add`, after a time. A key has one timer, the earliest: retries never multiply."""
        due = asyncio.get_running_loop().time() + seconds
        timer = self._timers.get(key)
        if timer and timer.when() <= due:
            return
        if timer:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_at(due, self._ring, key)

    async def take(self) -> K:
        """The next key. It must be given back by `done` or `failed`."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._active.add(key)
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        return key

    def done(self, key: K) -> None:
        """The work succeeded."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: K) -> float:
        """The work failed: the key comes back after a delay that doubles with each failure. Returns the delay."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay: float = min(_FIRST_DELAY * 2 ** min(count, 16), _LONGEST_DELAY)
        if key in self._again:
            self._release(key)  # something new came meanwhile: that is worth a try at once
        else:
            self._active.discard(key)
            self.add_later(key, delay)
        return delay

    def _ring(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _release(self, key: K) -> None:
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
