"""One request through the relay of trafficSplit to a plain server on a socket: what is hard to provoke otherwise."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import ClientDisconnect

from llmpipeline_serve.contract.traffic_split import Variant
from llmpipeline_serve.traffic_split.metrics import Measured
from llmpipeline_serve.traffic_split.relay import Relay
from llmpipeline_serve.traffic_split.upstream import Upstream

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GONE = 9


class FakeMetric:
    """Instead of Ray's Counter and Histogram: keeps what it was given."""

    def __init__(self) -> None:
        self.told: list[float] = []

    def inc(self, value: float = 1, tags: dict[str, str] | None = None) -> None:
        self.told.append(value)

    observe = inc


class Passed:
    """One request's way through the relay, and what came of it."""

    def __init__(self) -> None:
        self.errors, self.first, self.whole = FakeMetric(), FakeMetric(), FakeMetric()
        self.sent: list[dict[str, Any]] = []

    async def go(self, port: int, body: AsyncIterator[bytes] | None = None, seconds: float = 5) -> "Passed":
        scope = {"type": "http", "method": "POST", "root_path": "/front", "path": "/front", "raw_path": b"/front"}
        scope |= {"query_string": b"", "headers": [(b"host", b"here")]}
        measured = Measured(self.errors, self.first, self.whole, {})  # type: ignore[arg-type]
        variant = Variant(name="one", route="/one", weight=1)
        relay = Relay(Upstream(port), variant, body, split="front", seconds=seconds, measured=measured)
        await relay(scope, _never, self._keep)
        return self

    async def _keep(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def _never() -> Any:
    await asyncio.Event().wait()


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    async def and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    listening = await asyncio.start_server(and_close, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def test_nobody_listens() -> None:
    passed = await Passed().go(GONE)
    assert passed.status == 502
    assert (b"x-variant", b"one") in passed.sent[0]["headers"]
    assert (len(passed.errors.told), len(passed.first.told), len(passed.whole.told)) == (1, 0, 1)


async def test_the_connection_ends_without_an_answer_and_nothing_is_asked_twice() -> None:
    asked = []

    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with server(hang_up) as port:
        passed = await Passed().go(port)
    assert passed.status == 502
    assert json.loads(passed.body)["error"]["type"] == "upstream_failed"
    assert len(asked) == 1


async def test_an_answer_before_the_end_of_the_body() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with server(refuse) as port:
        passed = await Passed().go(port, endless())
    assert (passed.status, passed.body) == (413, b"big")
    assert not passed.errors.told


async def test_the_answer_stops_half_way() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await writer.drain()

    async with server(half) as port:
        passed = await Passed().go(port)
    assert (passed.status, passed.body) == (200, b"half")
    # Without a last message Serve's HTTP server breaks the connection off.
    assert passed.sent[-1]["more_body"]
    assert passed.errors.told == [1]


async def test_the_answer_takes_too_long_half_way() -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await reader.read()

    async with server(stall) as port:
        passed = await Passed().go(port, seconds=0.3)
    assert (passed.status, passed.body) == (200, b"half")
    assert passed.sent[-1]["more_body"]
    assert passed.errors.told == [1]


async def test_a_client_that_leaves_in_its_request_is_no_error() -> None:
    async def swallow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def leaving() -> AsyncIterator[bytes]:
        yield b"x"
        raise ClientDisconnect

    async with server(swallow) as port:
        passed = await Passed().go(port, leaving())
    assert not passed.sent
    assert not passed.errors.told


async def test_odd_bytes_of_the_body_pass() -> None:
    bodies = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        bodies.append((b"transfer-encoding: chunked" in head.lower(), await reader.readuntil(b"0\r\n\r\n")))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async def odd() -> AsyncIterator[bytes]:
        yield b"\x00\xff"
        yield b""
        yield b"\r\n"

    async with server(take) as port:
        passed = await Passed().go(port, odd())
    assert (passed.status, passed.body) == (204, b"")
    assert bodies == [(True, b"2\r\n\x00\xff\r\n2\r\n\r\n\r\n0\r\n\r\n")]
