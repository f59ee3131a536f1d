"""A replica that can no longer work ends: once, and after its HTTP server has stopped listening."""

import asyncio
import gc
import threading

import pytest
import uvicorn

from llmpipeline_serve import replica


async def test_however_many_requests_find_the_engine_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[int] = []
    exits: list[int] = []
    objects = gc.get_objects
    monkeypatch.setattr(gc, "get_objects", lambda: searches.append(1) or objects())
    monkeypatch.setattr("os._exit", exits.append)
    monkeypatch.setattr(replica, "_ends", threading.Event())
    monkeypatch.setattr(replica, "_LAST_ANSWERS_SECONDS", 0.0)
    server = uvicorn.Server(uvicorn.Config("no:app"))
    for _ in range(100):
        replica.end_soon("the engine has died")
    async with asyncio.timeout(10):
        while not exits:
            await asyncio.sleep(0.01)
    assert server.should_exit
    assert (len(searches), exits) == (1, [1])
