"""The queue's promises."""

import asyncio
import time

import pytest

from llmpipeline.controller.work_queue import LONGEST_DELAY, WorkQueue
from llmpipeline.names import Key

A, B = Key("x", "a"), Key("y", "b")
WORKERS = 16


@pytest.fixture
async def queue() -> WorkQueue:
    return WorkQueue(WORKERS)


def keys(namespace: str, count: int) -> list[Key]:
    return [Key(namespace, f"{namespace}{number}") for number in range(count)]


async def taken(queue: WorkQueue, count: int) -> list[Key]:
    return [await asyncio.wait_for(queue.take(), 1) for _ in range(count)]


async def test_a_key_waits_once(queue: WorkQueue) -> None:
    for urgent in (False, True, False):
        queue.add(A, urgent=urgent)
    assert len(queue) == 1
    assert await queue.take() == A
    assert len(queue) == 0


async def test_what_comes_during_the_work_is_worked_on_once_after_it(queue: WorkQueue) -> None:
    queue.add(A)
    key = await queue.take()
    queue.add(A)
    queue.add(A)
    assert len(queue) == 0, "one key is never with two workers"
    queue.done(key)
    assert len(queue) == 1


async def test_what_is_new_goes_first(queue: WorkQueue) -> None:
    for key in keys("x", 5):
        queue.add(key, urgent=False)
    queue.add(B)
    queue.add(Key("x", "x3"))
    assert await taken(queue, 3) == [B, Key("x", "x3"), Key("x", "x0")]


async def test_namespaces_take_turns(queue: WorkQueue) -> None:
    for key in (*keys("x", 100), *keys("y", 2), *keys("z", 1)):
        queue.add(key, urgent=False)
    first = await taken(queue, 6)
    assert [key.namespace for key in first] == ["x", "y", "z", "x", "y", "x"]


async def test_one_namespace_never_has_all_workers(queue: WorkQueue) -> None:
    for key in keys("x", 100):
        queue.add(key)
    await taken(queue, WORKERS - 4)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.take(), 0.05)
    queue.add(B)
    assert await taken(queue, 1) == [B]
    queue.done(Key("x", "x0"))
    assert await taken(queue, 1) == [Key("x", "x12")]


async def test_failures_back_off_and_success_forgets_them(queue: WorkQueue) -> None:
    delays = []
    for _ in range(12):
        queue.add(A, urgent=False)
        delays.append(queue.failed(await queue.take()))
    assert delays[:3] == [1, 2, 4]
    assert delays[-1] == LONGEST_DELAY
    queue.add(A)
    queue.done(await queue.take())
    queue.add(A)
    assert queue.failed(await queue.take(), longest=0.5) == 0.5


async def test_what_takes_long_to_fail_is_tried_seldom(queue: WorkQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt of ten seconds costs the API server ten seconds too."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    delays = []
    for _ in range(10):
        queue.add(A, urgent=False)
        key = await queue.take()
        now += 10
        delays.append(queue.failed(key, longest=15.0))
    assert delays == [1, 2, 4, 8, 16, 32, 40, 40, 40, 40]


async def test_what_waits_waits_longer_each_time_until_something_is_new(
    queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(queue, "_come_back", lambda _key, seconds: waited.append(seconds))
    for urgent in (True, False, False, False, False, False, False, True, False):
        queue.add(A, urgent=urgent)
        queue.done(await queue.take(), again_after=15)
    assert waited == [15, 30, 60, 120, 240, 300, 300, 15, 30]


async def test_a_key_comes_back_once(queue: WorkQueue) -> None:
    queue.add(A)
    queue.done(await queue.take(), again_after=0.01)
    assert await taken(queue, 1) == [A]
    queue.add(A)
    queue.done(A, again_after=0.01)
    await asyncio.sleep(0.05)
    assert len(queue) == 1, "what waits for a worker has no timer"


async def test_what_waits_can_be_rung(queue: WorkQueue) -> None:
    for key in (A, B):
        queue.add(key)
        queue.done(await queue.take(), again_after=100)
    assert len(queue) == 0
    queue.ring_all()
    assert set(await taken(queue, 2)) == {A, B}


async def test_what_is_gone_does_not_come_back(queue: WorkQueue) -> None:
    queue.add(A)
    queue.done(await queue.take(), again_after=0.01)
    queue.forget(A)
    await asyncio.sleep(0.05)
    assert len(queue) == 0


async def test_how_long_it_takes(queue: WorkQueue) -> None:
    assert (queue.oldest_seconds, queue.longest_work_seconds) == (0, 0)
    queue.add(A)
    await asyncio.sleep(0.01)
    assert queue.oldest_seconds > 0
    await queue.take()
    await asyncio.sleep(0.01)
    assert queue.oldest_seconds == 0
    assert queue.longest_work_seconds > 0
