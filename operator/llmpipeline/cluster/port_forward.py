"""TCP connections to a port of a Pod, through the API server, as `kubectl port-forward` has them.

Each connection is a websocket of its own. So one that drops takes no other with it, a Pod that is replaced ends no
process, and nothing but this process has to be stopped.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType

from llmpipeline import names
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.cluster.paths import path_of
from llmpipeline.names import Key

_PROTOCOL: Final = "v4.channel.k8s.io"
# The first byte of each message. The first message of each channel repeats the port.
_DATA, _ERROR = b"\x00", b"\x01"
_PIECE: Final = 64 * 1024
# Load balancers before API servers close what is silent for a minute. No answer is demanded: it would wait behind a
# body that the Pod is slow to read.
_PING_SECONDS: Final = 20.0
_FORBIDDEN: Final = 403


class PortForward:
    """Connections to Pods; a context manager that ends all of them."""

    def __init__(self, cluster: Cluster, report: Callable[[str], None]) -> None:
        """Take the cluster.

        Args:
            cluster: Whose Pods.
            report: Called with what the node says when a connection fails that was opened.
        """
        self._cluster = cluster
        self._report = report
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "PortForward":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def dial(self, pod: Key, port: int) -> socket.socket:
        """A connection to a port of a Pod.

        Raises:
            RequestRejected: The Pod is gone, or the user lacks the right, which the text names.
            Unreachable: There was no answer.
        """
        path = f"{path_of(names.POD_KIND, pod)}/portforward?ports={port}"
        try:
            remote = await self._cluster.websocket(path, _PROTOCOL)
        except RequestRejected as rejected:
            if rejected.status != _FORBIDDEN:
                raise
            # Kubernetes asks for `get`, from 1.35 on for `create` too, which is what kubectl mostly needs.
            needed = f"you need the verbs get and create on pods/portforward in namespace {pod.namespace}"
            raise RequestRejected(rejected.status, needed) from rejected
        ours, theirs = socket.socketpair()
        task = asyncio.create_task(self._carry(remote, ours))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return theirs

    async def _carry(self, remote: ClientWebSocketResponse, local: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=local)
        ways = (_send(reader, remote), self._receive(remote, writer), _ping(remote))
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            await remote.close()

    async def _receive(self, remote: ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
        begun: set[bytes] = set()
        async for message in remote:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, content = message.data[:1], message.data[1:]
            if channel not in begun:
                begun.add(channel)
            elif channel == _ERROR:
                self._report(content.decode(errors="replace"))
                return
            else:
                writer.write(content)
                await writer.drain()


async def _send(reader: asyncio.StreamReader, remote: ClientWebSocketResponse) -> None:
    while content := await reader.read(_PIECE):
        await remote.send_bytes(_DATA + content)


async def _ping(remote: ClientWebSocketResponse) -> None:
    while True:
        await asyncio.sleep(_PING_SECONDS)
        try:
            await remote.ping()
        except (ClientError, ConnectionError):
            return
