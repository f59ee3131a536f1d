"""Copies of requests to a plain server on a socket: what is copied, and what never holds the request up."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from llmpipeline_serve.contract.traffic_split import Settings
from llmpipeline_serve.traffic_split.shadow import Shadows
from llmpipeline_serve.traffic_split.upstream import Upstream


class FakeMetrics:
    """Instead of Metrics: counts the copies by result."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()

    def shadow(self, app: str, result: str) -> None:
        self.results[result] += 1


class Copies:
    """A server that gets the copies and, until it is let go, answers none."""

    def __init__(self, percent: int = 100) -> None:
        self.bodies: list[bytes] = []
        self.go = asyncio.Event()
        self.metrics = FakeMetrics()
        shadow = {"app": "copy", "route": "/copy", "percent": percent}
        self._settings = Settings(variants=({"name": "a", "route": "/a", "weight": 1},), shadow=(shadow,))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Copies"]:
        listening = await asyncio.start_server(self._take, "127.0.0.1", 0)
        upstream = Upstream(listening.sockets[0].getsockname()[1])
        self._shadows = Shadows(upstream, self.metrics, most_requests=3, most_bytes=10, split="front")  # type: ignore[arg-type]
        yield self
        listening.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b"x-llmpipeline-shadow: true" in head
        assert b"x-llmpipeline-split: front" in head
        length = next(
            (line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"content-length")), b"0"
        )
        self.bodies.append(await reader.readexactly(int(length)))
        await self.go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def copy(self, *chunks: bytes, dice: random.Random | None = None) -> bytes:
        """One request with this body; returns what the variant would read."""
        scope: dict[str, Any] = {"method": "POST", "root_path": "/f", "path": "/f", "raw_path": b"/f"}
        scope |= {"query_string": b"", "headers": []}
        body = _body(chunks) if chunks else None
        passed = self._shadows.copying(scope, body, self._settings, dice or random.Random(0))
        return b"".join([chunk async for chunk in passed]) if passed else b""

    async def until(self, result: str, count: int) -> None:
        async with asyncio.timeout(5):
            while self.metrics.results[result] < count:
                await asyncio.sleep(0.01)


async def _body(chunks: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_body_is_copied_and_passes() -> None:
    async with Copies().running() as copies:
        copies.go.set()
        assert await copies.copy(b"12345", b"67890") == b"1234567890"
        assert await copies.copy() == b""
        await copies.until("answered", 2)
        assert sorted(copies.bodies) == [b"", b"1234567890"]


async def test_a_long_body_passes_and_is_not_copied() -> None:
    async with Copies().running() as copies:
        copies.go.set()
        assert await copies.copy(b"12345", b"678901", b"2") == b"123456789012"
        await asyncio.sleep(0.1)
        assert not copies.bodies


async def test_a_shadow_that_hangs_holds_nothing_up() -> None:
    async with Copies().running() as copies:
        for _ in range(10):
            assert await copies.copy(b"x") == b"x"
        assert copies.metrics.results == {"skipped": 7}
        copies.go.set()
        await copies.until("answered", 3)
        assert await copies.copy(b"x") == b"x"
        await copies.until("answered", 4)


async def test_a_shadow_that_is_gone_is_counted() -> None:
    async with Copies().running() as copies:
        pass
    assert await copies.copy(b"x") == b"x"
    await copies.until("failed", 1)


async def test_the_percentage_is_copied() -> None:
    async with Copies(percent=30).running() as copies:
        copies.go.set()
        dice = random.Random(0)
        for _ in range(50):
            await copies.copy(b"x", dice=dice)
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.2)
        assert 5 < len(copies.bodies) < 25
