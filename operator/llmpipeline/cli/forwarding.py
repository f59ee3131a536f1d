"""Follows where a pipeline answers while `open` runs: a head Pod that is replaced, an update that moves on."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from llmpipeline.cli.connection import why
from llmpipeline.cluster.endpoint import Endpoint, NotThere
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.port_forward import PortForward

# How often is looked whether another Pod is meant now, and how soon after a connection failed.
_SECONDS: Final = 5.0
_SOON_SECONDS: Final = 0.5
_FAULTS: Final = (NotThere, RequestRejected, Unreachable, TimeoutError)

Find = Callable[[str], Awaitable[Endpoint]]
Say = Callable[[str], None]


class Follower:
    """Where requests go at the moment.

    Attributes:
        endpoint: The Pod and its port, as last found.
    """

    def __init__(self, endpoint: Endpoint, find: Find, forward: PortForward, say: Say) -> None:
        """Take where requests go first.

        Args:
            endpoint: As found.
            find: Finds it once more, and prefers the Pod with the UID that it is given.
            forward: Makes connections.
            say: Shows a line to the user.
        """
        self.endpoint = endpoint
        self._find, self._forward, self._say = find, forward, say
        self._wants_look = asyncio.Event()
        self._lock = asyncio.Lock()

    async def dial(self) -> socket.socket:
        """A connection to the Pod; to the one that replaced it if it is gone.

        Raises:
            NotThere: There is no Pod now.
            RequestRejected: The user lacks a right.
            Unreachable: There was no answer.
        """
        tried = self.endpoint
        try:
            return await self._forward.dial(tried.pod, tried.port)
        except (RequestRejected, Unreachable):
            await self.look()
            if self.endpoint.uid == tried.uid:
                raise
        return await self._forward.dial(self.endpoint.pod, self.endpoint.port)

    async def look(self) -> None:
        """Finds where requests go now, and says so if that is another Pod."""
        async with self._lock:
            before, found = self.endpoint, await self._find(self.endpoint.uid)
            self.endpoint = found
        if found.uid != before.uid:
            self._say(f"the Pod {before.pod.name} was replaced: {described(found)}")
        elif (found.pending, found.is_serving) != (before.pending, before.is_serving):
            self._say(described(found))

    def look_soon(self) -> None:
        """To be called when a connection has failed."""
        self._wants_look.set()

    async def watch(self) -> None:
        """Looks again and again, and says once what keeps it from finding the Pod."""
        fault = ""
        while True:
            await asyncio.sleep(_SOON_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wants_look.wait(), _SECONDS)
            self._wants_look.clear()
            try:
                await self.look()
                said = ""
            except _FAULTS as error:
                said = f"{explain(error)}; trying again"
            if said and said != fault:
                self._say(said)
            elif fault and not said:
                self._say(f"found again: {described(self.endpoint)}")
            fault = said


def described(endpoint: Endpoint) -> str:
    """Where requests go, in a line."""
    line = f"forwarding to port {endpoint.port} of Pod {endpoint.pod.name} of RayCluster {endpoint.raycluster}"
    if endpoint.pending:
        return f"{line}, which takes the requests; an update is in progress, and RayCluster {endpoint.pending} comes up"
    return line if endpoint.is_serving else f"{line}, which takes no requests yet"


def explain(error: Exception) -> str:
    """Why a request was not passed on, as a sentence."""
    if isinstance(error, RequestRejected | Unreachable | TimeoutError):
        return why(error)
    return str(error) if isinstance(error, NotThere) else f"the Pod does not answer: {error or type(error).__name__}"
