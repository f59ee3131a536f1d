"""Pipelines that are too large to be read: rejected one after the other, whatever else the API server has to do."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from llmpipeline.cluster.client import Cluster, Unreadable
from llmpipeline.cluster.metadata import Metadata
from llmpipeline.controller import reconcile as module
from llmpipeline.names import Key
from llmpipeline.render.platform import DEFAULT


async def test_only_one_is_written_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    writing, most = 0, 0

    async def rejected(_cluster: Cluster, _found: Unreadable, _clock: Any) -> module.Outcome:
        nonlocal writing, most
        writing += 1
        most = max(most, writing)
        await asyncio.sleep(0)
        writing -= 1
        return module.Outcome()

    async def huge(key: Key) -> Unreadable:
        return Unreadable(Metadata(key, "u", "1", 1), "it is huge")

    monkeypatch.setattr(module, "_reject_unreadable", rejected)
    cluster: Any = Cluster(SimpleNamespace())  # type: ignore[arg-type]  # a fake: nothing is asked
    cluster.pipeline = huge
    keys = [Key("x", f"p{number}") for number in range(12)]
    outcomes = await asyncio.gather(*(module.reconcile(cluster, key, DEFAULT) for key in keys))
    assert most == 1
    # The others give their workers back and come again: waiting in line, they would keep those of other tenants idle.
    assert len([it for it in outcomes if it.retry_after]) == 11
    for key in keys:
        assert (await module.reconcile(cluster, key, DEFAULT)).retry_after is None
