"""The port of health checks: how many connections it holds, and for how long."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from llmpipeline.controller import bounded_server
from llmpipeline.controller.health import Health
from llmpipeline.controller.metrics import Metrics
from llmpipeline.controller.work_queue import WorkQueue
from support.child_process import free_port


@pytest_asyncio.fixture
async def port(monkeypatch) -> AsyncIterator[int]:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(bounded_server, "SECONDS", 0.5)
    health = Health(lambda: False, Metrics(WorkQueue(16)))
    health.connected = True
    chosen = free_port()
    async with health.served(chosen):
        yield chosen


async def ask(port: int, request: bytes = b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_an_answer_ends_its_connection(port: int) -> None:
    answer = await ask(port)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"ok\n")
    assert b"text/plain" in answer
    assert b"llmpipeline_queue_depth" in await ask(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")


async def test_a_request_that_never_ends_is_cut_off(port: int) -> None:
    began = asyncio.get_running_loop().time()
    assert await ask(port, b"GET /readyz HTTP/1.1\r\nHost: a\r\n") == b""
    assert 0.3 < asyncio.get_running_loop().time() - began < 4


async def test_more_connections_than_the_bound_are_closed_at_once(port: int) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(bounded_server.MOST_CONNECTIONS)]
    await asyncio.sleep(0.05)
    assert await ask(port) == b""
    for _, writer in held:
        writer.close()
    async with asyncio.timeout(10):
        while not (await ask(port)).endswith(b"ok\n"):
            await asyncio.sleep(0.05)
