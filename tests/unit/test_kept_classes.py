"""Classes are read once until one changes, and never kept from before a change that was heard of."""

import asyncio
from typing import Any

import pytest

from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.cluster.kept_classes import KeptClasses


class Source:
    """Counts how often it is read; `before` runs within a read."""

    def __init__(self) -> None:
        self.reads, self.time, self.before = 0, 0.0, lambda: None
        self.fails = False

    async def classes(self) -> tuple[dict[str, Any], ...]:
        self.reads += 1
        number = self.reads
        await asyncio.sleep(0)
        self.before()
        if self.fails:
            raise RequestRejected(403, "no")
        return ({"read": number},)

    def kept(self) -> KeptClasses:
        return KeptClasses(self, lambda: self.time)  # type: ignore[arg-type]  # it reads classes alone


async def test_many_that_ask_at_once_read_once() -> None:
    source = Source()
    kept = source.kept()
    found = await asyncio.gather(*(kept() for _ in range(50)))
    assert (source.reads, {item[0]["read"] for item in found}) == (1, {1})


async def test_a_change_and_time_make_it_read_again() -> None:
    source = Source()
    kept = source.kept()
    await kept()
    kept.forget()
    assert (await kept())[0]["read"] == 2
    source.time = 61
    assert (await kept())[0]["read"] == 3
    assert (await kept())[0]["read"] == 3


async def test_what_was_read_during_a_change_is_not_kept() -> None:
    source = Source()
    kept = source.kept()
    source.before = kept.forget
    await kept()
    source.before = lambda: None
    assert (await kept())[0]["read"] == 2
    assert (await kept())[0]["read"] == 2


async def test_what_fails_is_not_kept() -> None:
    source = Source()
    kept = source.kept()
    source.fails = True
    for _ in range(2):
        with pytest.raises(RequestRejected):
            await kept()
    source.fails = False
    assert (await kept())[0]["read"] == 3


async def test_a_failure_is_shared_and_not_waited_for_one_by_one() -> None:
    source = Source()
    kept = source.kept()
    source.fails = True
    found = await asyncio.gather(*(kept() for _ in range(50)), return_exceptions=True)
    assert (source.reads, {type(item) for item in found}) == (1, {RequestRejected})


async def test_who_asks_after_a_change_does_not_get_what_was_being_read() -> None:
    source = Source()
    kept = source.kept()
    early = asyncio.create_task(kept())
    await asyncio.sleep(0)
    kept.forget()
    assert (await kept())[0]["read"] == 2
    assert (await early)[0]["read"] == 1
    assert (await kept())[0]["read"] == 2
