"""What a fault does to a request. Each action answers it, or raises `Cut` to end the connection."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import web

from support.faults.exchange import Exchange
from support.faults.wire import error_event, status

JSON: Final = {"Content-Type": "application/json"}
PROTOBUF: Final = {"Content-Type": "application/vnd.kubernetes.protobuf;stream=watch"}
# Sends the request on to the API server and its answer back.
Forward = Callable[[Exchange], Awaitable[web.StreamResponse]]


class Cut(Exception):
    """The connection is reset."""


class Action(Protocol):
    """What a fault does."""

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        """Answer the request."""


@dataclass(frozen=True)
class Delay:
    """The request is sent on after a time."""

    seconds: float

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        await asyncio.sleep(self.seconds)
        return await forward(exchange)


@dataclass(frozen=True)
class Hang:
    """Nothing comes, until the fault is lifted or the time is over; then `answer`, or the connection is reset."""

    seconds: float = 3600
    answer: Action | None = None

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self.seconds):
                await exchange.lifted.wait()
        except TimeoutError:
            pass
        if self.answer:
            return await self.answer.act(exchange, forward)
        raise Cut


@dataclass(frozen=True)
class Reset:
    """The connection is cut before the request reaches the API server."""

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        raise Cut


@dataclass(frozen=True)
class LostAnswer:
    """The API server carries the request out, and the connection is cut before the answer comes."""

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        exchange.muted = True
        await forward(exchange)
        raise Cut


@dataclass(frozen=True)
class Answer:
    """The proxy answers in the API server's stead."""

    status: int
    message: str = "a fault of the test"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        body = status(self.status, self.message)
        return web.Response(status=self.status, body=body, headers={**JSON, **self.headers})


@dataclass(frozen=True)
class Silent:
    """A watch that is opened and delivers nothing, not even bookmarks."""

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        exchange.muted = True
        return await forward(exchange)


@dataclass(frozen=True)
class Expired:
    """A watch that says 410 in its first event, as where the version is too old."""

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        protobuf = "protobuf" in exchange.request.headers.get("Accept", "")
        event = error_event(410, "too old resource version: 1 (2)", protobuf=protobuf)
        return web.Response(body=event, headers=PROTOBUF if protobuf else JSON)


@dataclass(frozen=True)
class Stale:
    """A list is answered as it was recorded earlier, by its path and query; one that was not recorded is sent on."""

    recorded: Mapping[str, web.Response]

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        known = self.recorded.get(list_key(exchange.request))
        if known is None:
            return await forward(exchange)
        return web.Response(status=known.status, body=known.body, headers=known.headers)


@dataclass(frozen=True)
class Crash:
    """Something happens to the client at this very request: before it reaches the API server, or after."""

    happens: Callable[[], None]
    after: bool

    async def act(self, exchange: Exchange, forward: Forward) -> web.StreamResponse:
        exchange.muted = True
        if self.after:
            await forward(exchange)
        await asyncio.get_running_loop().run_in_executor(None, self.happens)
        raise Cut


def list_key(request: web.Request) -> str:
    """By what a recorded list is found again: the path, the selectors, and whether only metadata are asked for."""
    selectors = [request.query.get(name, "") for name in ("labelSelector", "fieldSelector", "continue")]
    return " ".join((request.path, *selectors, request.headers.get("Accept", "")))
