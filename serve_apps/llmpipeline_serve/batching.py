"""Work in batches: requests that wait together are done together, and fail alone.

Not by `@serve.batch`, which makes up its batches before the function is free to take them: what then comes while it
works can no longer join, and without a wait every batch is of one (Ray 2.60, docs/adr/0008).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray.serve.metrics import Histogram

from llmpipeline_serve.args import BatchSettings

Work = Callable[[Sequence[Any]], Sequence[Any]]

_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256]


class Batcher:
    """Collects single items into batches for one function.

    The function works in a thread of its own, one batch at a time: the event loop stays free to take requests and to
    answer health checks, and a model is never called twice at once. A batch is made up when the thread is free, of all
    that has come by then.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._settings = BatchSettings()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")
        self._waiting: deque[tuple[Any, asyncio.Future[Any], float]] = deque()
        self._came = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._sizes = Histogram("llmpipeline_batch_size", "Items in one call of the model.", _SIZES)

    def configure(self, settings: BatchSettings) -> None:
        """Take other settings, from the next batch on."""
        self._settings = settings

    async def __call__(self, item: Any) -> Any:
        """Return the result of one item; raise what went wrong with it. One that is cancelled in time is not done."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((item, answer, loop.time()))
        self._came.set()
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work_off())
        return await answer

    async def _work_off(self) -> None:
        """Do what waits, batch after batch, until nothing does."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._gather()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._settings.max_batch_size))]
            wanted = [(item, answer) for item, answer, _ in batch if not answer.done()]
            if not wanted:
                continue
            self._sizes.observe(len(wanted))
            items = [item for item, _ in wanted]
            results = await loop.run_in_executor(self._thread, one_by_one_if_needed, self._work, items)
            for (_, answer), result in zip(wanted, results, strict=True):
                if answer.done():
                    continue
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)

    async def _gather(self) -> None:
        """Wait until the batch is full, or its first item has waited for as long as the settings say."""
        loop = asyncio.get_running_loop()
        until = self._waiting[0][2] + self._settings.batch_wait_milliseconds / 1000
        while len(self._waiting) < self._settings.max_batch_size and loop.time() < until:
            self._came.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._came.wait()
            except TimeoutError:
                return


def one_by_one_if_needed(work: Work, items: Sequence[Any]) -> list[Any]:
    """Return a result or an exception for each item. A batch that fails as a whole is done again, one by one.

    Otherwise one bad item would fail all those that happen to wait beside it.
    """
    try:
        return _done(work, items)
    except Exception as error:
        if len(items) == 1:
            return [error]
    return [result for item in items for result in one_by_one_if_needed(work, [item])]


def _done(work: Work, items: Sequence[Any]) -> list[Any]:
    results = list(work(items))
    if len(results) != len(items):
        raise ValueError(f"a batch function must return a result for each item: {len(results)} for {len(items)}")
    return results
