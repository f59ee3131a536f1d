"""A fake kubelet: it forwards ports of Pods to ports of this machine, and does nothing else.

It speaks `v4.channel.k8s.io` as `k8s.io/kubelet/pkg/cri/streaming/portforward` does. What is real here is the API
server between: its authorization, and its proxy to the kubelet.
"""

import asyncio
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.control_plane import Admin


class FakeKubelet:
    """A node of the cluster; a context manager.

    Args:
        admin: The client that registers it.
        name: Of the node.
        directory: For its certificate.
    """

    def __init__(self, admin: Admin, name: str, directory: Path) -> None:
        self.name = name
        self._admin, self._directory = admin, directory
        self._ports: dict[tuple[str, int], int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def forward(self, pod: str, port: int, to: int) -> None:
        """From now on connections to a port of a Pod lead here."""
        self._ports[pod, port] = to

    def run_in_background(self, start: Callable[[], Awaitable[Any]]) -> Any:
        """Runs what a Pod would run, such as a server, beside the kubelet."""
        return asyncio.run_coroutine_threadsafe(_awaited(start), self._loop).result(20)

    def __enter__(self) -> Self:
        self._thread.start()
        self._register(self.run_in_background(self._start))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.run_in_background(self._runner.cleanup)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._admin.delete("v1", "nodes", None, self.name)

    async def _start(self) -> int:
        application = web.Application()
        application.router.add_get("/portForward/{namespace}/{pod}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=_certificate(self._directory))
        await site.start()
        return int(self._runner.addresses[0][1])

    def _register(self, port: int) -> None:
        self._admin.create("v1", "nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        self._admin.merge_patch("v1", "nodes", None, self.name, {"status": status}, "status")

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        port = int(request.query["port"])
        websocket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await websocket.prepare(request)
        for channel in (b"\x00", b"\x01"):
            await websocket.send_bytes(channel + port.to_bytes(2, "little"))
        try:
            to = self._ports.get((request.match_info["pod"], port), 1)
            reader, writer = await asyncio.open_connection("127.0.0.1", to)
        except OSError as error:
            await websocket.send_bytes(f"\x01error forwarding port {port} to pod: {error}".encode())
        else:
            await _carry(websocket, reader, writer)
        await websocket.close()
        return websocket


async def _awaited(start: Callable[[], Awaitable[Any]]) -> Any:
    return await start()


async def _carry(websocket: web.WebSocketResponse, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def back() -> None:
        while content := await reader.read(65536):
            await websocket.send_bytes(b"\x00" + content)
        await websocket.close()

    task = asyncio.create_task(back())
    async for message in websocket:
        if message.type is WSMsgType.BINARY and message.data[:1] == b"\x00":
            writer.write(message.data[1:])
            await writer.drain()
    task.cancel()
    with suppress(asyncio.CancelledError, ConnectionError):
        await task
    writer.close()


def _certificate(directory: Path) -> ssl.SSLContext:
    """A new one, which the API server does not check."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake-kubelet")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "kubelet.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
