"""How single items become batches, with a function that says what it was given. (On real models: tests/apps.)"""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from llmpipeline_serve.batching import Batcher, results_of
from llmpipeline_serve.contract.batch import BatchSettings


class Recorder:
    """A batch function that works while its gate is closed."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        self.batches.append(list(items))
        assert self.gate.wait(10)
        return [item * 10 for item in items]

    async def begun(self, count: int) -> None:
        while len(self.batches) < count:
            await asyncio.sleep(0.001)


async def test_what_comes_while_the_function_works_is_the_next_batch() -> None:
    work = Recorder()
    batcher = Batcher(work)
    assert await asyncio.gather(*(batcher(item) for item in range(20))) == [item * 10 for item in range(20)]
    assert [len(batch) for batch in work.batches] == [8, 8, 4]
    work.gate.clear()
    first = asyncio.ensure_future(batcher(1))
    await work.begun(4)
    rest = [asyncio.ensure_future(batcher(item)) for item in (2, 3)]
    await asyncio.sleep(0)
    work.gate.set()
    await asyncio.gather(first, *rest)
    assert work.batches[3:] == [[1], [2, 3]]


async def test_a_wait_fills_the_batch_and_ends_when_it_is_full() -> None:
    work = Recorder()
    batcher = Batcher(work)
    batcher.configure(BatchSettings(max_batch_size=2, batch_wait_milliseconds=60_000))
    alone = asyncio.ensure_future(batcher(1))
    await asyncio.sleep(0.01)
    assert work.batches == []
    await asyncio.wait_for(batcher(2), 10)
    await alone
    assert work.batches == [[1, 2]]
    batcher.configure(BatchSettings(max_batch_size=2, batch_wait_milliseconds=50))
    began = time.monotonic()
    await batcher(3)
    assert time.monotonic() - began >= 0.05
    assert work.batches[1:] == [[3]]


async def test_settings_hold_from_the_next_batch_on() -> None:
    work = Recorder()
    batcher = Batcher(work)
    batcher.configure(BatchSettings(max_batch_size=1))
    await asyncio.gather(*(batcher(item) for item in range(3)))
    batcher.configure(BatchSettings(max_batch_size=3))
    await asyncio.gather(*(batcher(item) for item in range(3)))
    assert [len(batch) for batch in work.batches] == [1, 1, 1, 3]


async def test_items_keep_the_function_that_their_request_began_with() -> None:
    """Those of another one are not in their batch, and the wait for a full batch does not mix them."""
    old, new = Recorder(), Recorder()
    batcher = Batcher(old)
    old.gate.clear()
    first = asyncio.ensure_future(batcher(1))
    await old.begun(1)
    rest = [asyncio.ensure_future(batcher(item, work)) for item, work in ((2, old), (3, old), (4, new), (5, new))]
    await asyncio.sleep(0)
    old.gate.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40, 50]
    assert (old.batches, new.batches) == ([[1], [2, 3]], [[4, 5]])


async def test_a_batch_keeps_the_bound_that_it_began_with() -> None:
    work = Recorder()
    batcher = Batcher(work)
    work.gate.clear()
    waiting = asyncio.ensure_future(batcher(1))
    await work.begun(1)
    batcher.configure(BatchSettings(), hung_seconds=0.001)
    await asyncio.sleep(0.01)
    batcher.check_health()
    work.gate.set()
    await waiting
    work.gate.clear()
    waiting = asyncio.ensure_future(batcher(2))
    await work.begun(2)
    await asyncio.sleep(0.01)
    with pytest.raises(RuntimeError, match=r"more than 0\.001 seconds"):
        batcher.check_health()
    work.gate.set()
    await waiting


async def test_who_no_longer_waits_is_not_done() -> None:
    work = Recorder()
    batcher = Batcher(work)
    batcher.configure(BatchSettings(max_batch_size=1))
    work.gate.clear()
    first, gone, last = (asyncio.ensure_future(batcher(item)) for item in (1, 2, 3))
    await work.begun(1)
    gone.cancel()
    await asyncio.sleep(0)
    work.gate.set()
    assert await first == 10
    assert await last == 30
    assert work.batches == [[1], [3]]


def _picky(items: Sequence[Any]) -> list[Any]:
    if "bad" in items:
        raise RuntimeError(f"bad among {len(items)}")
    return [item if item != "odd" else KeyError(item) for item in items]


async def test_a_bad_item_fails_alone() -> None:
    results = await asyncio.gather(*map(Batcher(_picky), ["a", "bad", "odd", "b"]), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["str", "RuntimeError", "KeyError", "str"]


@pytest.mark.parametrize("count", [0, 3])
def test_a_function_must_give_a_result_for_each(count: int) -> None:
    (failed, *_) = results_of(lambda items: [1] * count, ["a", "b"])
    assert "a result for each item" in str(failed)


@pytest.mark.parametrize("bad", [0, 7, 31])
def test_one_bad_item_costs_two_calls_for_each_halving(bad: int) -> None:
    calls: list[int] = []

    def work(items: Sequence[Any]) -> list[Any]:
        calls.append(len(items))
        if bad in items:
            raise RuntimeError("bad")
        return list(items)

    results = results_of(work, list(range(32)))
    assert [index for index, result in enumerate(results) if isinstance(result, Exception)] == [bad]
    assert len(calls) == 1 + 2 * 5


async def test_a_function_that_hangs_fails_the_health_check() -> None:
    work = Recorder()
    batcher = Batcher(work, hung_seconds=0.5)
    batcher.check_health()
    work.gate.clear()
    waiting = asyncio.ensure_future(batcher(1))
    await work.begun(1)
    batcher.check_health()
    await asyncio.sleep(0.6)
    with pytest.raises(RuntimeError, match=r"more than 0\.5 seconds"):
        batcher.check_health()
    work.gate.set()
    await waiting
    batcher.check_health()
