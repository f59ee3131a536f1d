"""The queue's promises."""

import asyncio

from llmpipeline.controller import work_queue
from llmpipeline.controller.work_queue import WorkQueue


async def test_a_key_waits_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(3):
        queue.add("a")
    assert len(queue) == 1
    assert await queue.take() == "a"
    assert len(queue) == 0


async def test_what_comes_during_the_work_is_worked_on_once_after_it() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.take()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0, "one key is never with two workers"
    queue.done(key)
    assert len(queue) == 1


async def test_failures_back_off_and_success_forgets_them() -> None:
    queue: WorkQueue[str] = WorkQueue()
    delays = []
    for _ in range(12):
        queue.add("a")
        delays.append(queue.failed(await queue.take()))
    assert delays[:3] == [1, 2, 4]
    assert delays[-1] == work_queue._LONGEST_DELAY
    queue.add("a")
    queue.done(await queue.take())
    queue.add("a")
    assert queue.failed(await queue.take()) == 1


async def test_a_failed_key_comes_back(monkeypatch: object) -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_later("a", 0.01)
    assert await asyncio.wait_for(queue.take(), 1) == "a"


async def test_retries_of_one_key_never_multiply() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(5):
        queue.add_later("a", 0.01)
    await asyncio.sleep(0.05)
    assert len(queue) == 1
    queue.add_later("a", 0.01)
    queue.done(await queue.take())
    await asyncio.sleep(0.05)
    assert len(queue) == 0, "taking a key ends its timer"
