"""Bounds on the connections of a small HTTP server: how many there are, and how long each may last.

aiohttp bounds neither: a request whose headers never end is kept for ever, and anybody who reaches the port can send
thousands of them.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

MOST_CONNECTIONS: Final = 64
# Of one request and its answer.
SECONDS = 10.0


class Guard(asyncio.Protocol):
    """Passes everything on to the protocol of one connection, until the time is over."""

    def __init__(self, inner: asyncio.Protocol, connections: set["Guard"]) -> None:
        self._inner = inner
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it if there are too many."""
        connection = cast(asyncio.Transport, transport)
        self._inner.connection_made(transport)
        if len(self._connections) >= MOST_CONNECTIONS:
            connection.abort()
            return
        self._connections.add(self)
        self._timer = asyncio.get_running_loop().call_later(SECONDS, connection.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.discard(self)
        if self._timer:
            self._timer.cancel()
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()


def guarded(make: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
    """The factory of a server's protocols, with these bounds."""
    connections: set[Guard] = set()
    return lambda: Guard(make(), connections)
