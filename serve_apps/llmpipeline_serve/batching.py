"""Work in batches: requests that wait together are done together, and fail alone.

Not by `@serve.batch`, which makes up its batches before the function is free to take them: what then comes while it
works can no longer join, and without a wait every batch is of one (Ray 2.60, docs/adr/0008).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from ray.serve.metrics import Counter, Histogram

from llmpipeline_serve.contract.batch import BatchSettings

Work = Callable[[Sequence[Any]], Sequence[Any]]

# For a deployment that does not know how long its requests may take.
HUNG_SECONDS: Final = 300.0
# Ray's counters take no 0, which a coarse clock may give.
_SHORTEST: Final = 1e-9
_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
_WAITS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]


class _Entry(NamedTuple):
    """One item that waits: since when, and for which function."""

    item: Any
    answer: asyncio.Future[Any]
    arrived: float
    work: Work

    def settle(self, result: Any) -> None:
        """Hand the result, or what went wrong, to the one who waits for it, if anybody still does."""
        if self.answer.done():
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class Batcher:
    """Collects single items into batches for one function.

    While its settings change it is for a moment two functions, each with batches of its own. The function works in a
    thread of its own, one batch at a time: the event loop stays free to take requests and to answer health checks, and
    a model is never called twice at once. A batch is made up when the thread is free, of all that has come by then.
    """

    def __init__(self, work: Work, hung_seconds: float = HUNG_SECONDS) -> None:
        """Take the function; a batch that takes longer than `hung_seconds` has hung."""
        self._work = work
        self._hung_seconds = hung_seconds
        # When the batch that is worked on has hung, and after how many seconds that is.
        self._hung: tuple[float, float] | None = None
        self._settings = BatchSettings()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")
        self._waiting: deque[_Entry] = deque()
        self._came = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._sizes = Histogram("llmpipeline_batch_size", "Items in one call of the model.", _SIZES)
        self._waits = Histogram(
            "llmpipeline_batch_wait_seconds", "From the arrival of an item to the call of the model.", _WAITS
        )
        self._busy = Counter("llmpipeline_batch_busy_seconds", "Time in which the model was called.")

    def check_health(self) -> None:
        """Raise if the function has hung: the event loop is free all the while, so nothing else would notice."""
        if self._hung and time.monotonic() > self._hung[0]:
            raise RuntimeError(f"a batch has taken more than {self._hung[1]:g} seconds")

    def configure(self, settings: BatchSettings, *, hung_seconds: float | None = None) -> None:
        """Take other settings, from the next batch on; and other seconds after which a batch has hung."""
        self._settings = settings
        self._hung_seconds = hung_seconds or self._hung_seconds

    async def __call__(self, item: Any, work: Work | None = None) -> Any:
        """Return the result of one item; raise what went wrong with it. One that is cancelled in time is not done.

        Args:
            item: What the function works on.
            work: The function as it was set when the item's request began; None: the one that is known.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Entry(item, answer, loop.time(), work or self._work))
        self._came.set()
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work_off())
        return await answer

    async def _work_off(self) -> None:
        """Do what waits, batch after batch, until nothing does."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._gather()
            wanted = [entry for entry in self._next_batch() if not entry.answer.done()]
            if not wanted:
                continue
            self._sizes.observe(len(wanted))
            for entry in wanted:
                self._waits.observe(loop.time() - entry.arrived)
            began = time.monotonic()
            self._hung = began + self._hung_seconds, self._hung_seconds
            try:
                items = [entry.item for entry in wanted]
                results = await loop.run_in_executor(self._thread, results_of, wanted[0].work, items)
            finally:
                self._busy.inc(max(time.monotonic() - began, _SHORTEST))
                self._hung = None
            for entry, result in zip(wanted, results, strict=True):
                entry.settle(result)

    def _next_batch(self) -> list[_Entry]:
        """What is done together, taken from what waits: items for the same function."""
        batch = [self._waiting.popleft()]
        while self._waiting and len(batch) < self._settings.max_batch_size and self._waiting[0].work is batch[0].work:
            batch.append(self._waiting.popleft())
        return batch

    async def _gather(self) -> None:
        """Wait until the batch is full, or its first item has waited for as long as the settings say."""
        loop = asyncio.get_running_loop()
        until = self._waiting[0].arrived + self._settings.batch_wait_milliseconds / 1000
        while len(self._waiting) < self._settings.max_batch_size and loop.time() < until:
            self._came.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._came.wait()
            except TimeoutError:
                return


def results_of(work: Work, items: Sequence[Any]) -> list[Any]:
    """Return a result or an exception for each item. A batch that fails as a whole is done again in halves.

    Otherwise one bad item would fail all those that happen to wait with it. It costs two calls for each halving.
    """
    try:
        return _done(work, items)
    except Exception as error:
        if len(items) == 1:
            return [error]
    middle = len(items) // 2
    return results_of(work, items[:middle]) + results_of(work, items[middle:])


def _done(work: Work, items: Sequence[Any]) -> list[Any]:
    results = list(work(items))
    if len(results) != len(items):
        raise ValueError(f"a batch function must return a result for each item: {len(results)} for {len(items)}")
    return results
