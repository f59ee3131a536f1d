"""A proxy before the API server that makes faults, in a thread of its own; every method may be called from any thread.

It listens on loopback without TLS, and asks the API server as one of the control plane's users.
"""

import asyncio
import base64
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from support.child_process import free_port
from support.control_plane.admin import eventually
from support.faults.actions import Cut, list_key
from support.faults.exchange import Exchange
from support.faults.fault import Fault
from support.faults.ledger import Ledger

T = TypeVar("T")

_OF_ONE_HOP: Final = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "authorization"}
_FORGOTTEN: Final = 3600.0
_TOO_LARGE: Final = 8 * 1024 * 1024


class FaultProxy:
    """A context manager.

    Args:
        kubeconfig: As whom it asks, and where; as `ControlPlane.kubeconfig_of` writes it.
        directory: Where it writes the kubeconfig that leads to it.
    """

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        given = json.loads(kubeconfig.read_text())
        cluster = given["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._ssl = ssl.create_default_context(cadata=authority)
        self._server = cluster["server"]
        self._token = given["users"][0]["user"]["token"]
        self._port = free_port()
        given["clusters"][0]["cluster"] = {"server": self.url}
        given["users"][0]["user"] = {"token": "the-proxy-has-it"}
        self.kubeconfig = directory / "through-the-proxy.kubeconfig"
        self.kubeconfig.write_text(json.dumps(given))
        self.ledger = Ledger()
        self._faults: list[Fault] = []
        self._open: set[Exchange] = set()
        self._forgotten: set[Any] = set()
        self._lists: dict[str, tuple[URL, dict[str, str]]] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self._thread.start()
        if not self._listens.wait(20):
            raise RuntimeError("the proxy does not listen")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def add(self, fault: Fault) -> Fault:
        """The fault acts from now on; of several that match the first added acts."""
        self._in_loop(lambda: self._faults.append(fault))
        return fault

    def lift(self, fault: Fault) -> None:
        """It acts no more, and what hangs by it goes on."""

        def end() -> None:
            if fault in self._faults:
                self._faults.remove(fault)
            for exchange in fault.acting:
                exchange.lifted.set()

        self._in_loop(end)

    @contextmanager
    def during(self, *faults: Fault) -> Iterator[None]:
        """The faults act meanwhile; it does not end before each of them has acted as often as it must.

        Raises:
            TimeoutError: One has not, so nothing was tested.
        """
        for fault in faults:
            self.add(fault)
        try:
            yield
            eventually(lambda: all(it.hits >= it.least for it in faults), 20, f"each of {len(faults)} faults to act")
        finally:
            for fault in faults:
                self.lift(fault)

    def drop_watches(self) -> None:
        """Cuts every watch that is open."""
        self._each(lambda it: it.kind == "watch", self._cut)

    def silence_watches(self) -> None:
        """The watches that are open stay so and deliver nothing more, not even bookmarks."""
        self._each(lambda it: it.kind == "watch", lambda it: setattr(it, "muted", True))

    def forget_connections(self) -> None:
        """Nothing passes any more on the connections that are open now, as where a firewall has forgotten them."""

        def forget(exchange: Exchange) -> None:
            exchange.muted = True
            self._forgotten.add(exchange.transport)

        self._in_loop(lambda: self._forgotten.update(it for it in self._connections if it is not None))
        self._each(lambda _: True, forget)

    def cut_forgotten(self) -> None:
        """The forgotten connections are reset."""

        def cut() -> None:
            for transport in self._forgotten:
                _reset(transport)
            self._forgotten.clear()

        self._in_loop(cut)

    def record_lists(self) -> dict[str, web.Response]:
        """Every list that anybody has asked for so far, as it is now: for the action `Stale`."""
        return asyncio.run_coroutine_threadsafe(self._record(), self._loop).result(60)

    def open_watches(self) -> int:
        """How many watches are open."""
        return self._in_loop(lambda: sum(it.kind == "watch" and not it.muted for it in self._open))

    @property
    def _connections(self) -> list[Any]:
        server = self._runner.server
        return [it.transport for it in server.connections] if server else []

    def _in_loop(self, what: Callable[[], T]) -> T:
        async def call() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(20)

    def _each(self, which: Callable[[Exchange], bool], what: Callable[[Exchange], None]) -> None:
        def call() -> None:
            for exchange in [it for it in self._open if which(it)]:
                what(exchange)

        self._in_loop(call)

    def _cut(self, exchange: Exchange) -> None:
        _reset(exchange.transport)
        if exchange.task:
            exchange.task.cancel()

    async def _run(self) -> None:
        app = web.Application(client_max_size=_TOO_LARGE)
        app.router.add_route("*", "/{anything:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        connector = TCPConnector(limit=0, ssl=self._ssl)
        timeout = ClientTimeout(total=None, sock_connect=5)
        async with ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
            self._listens.set()
            await self._stop.wait()
            for exchange in list(self._open):
                self._cut(exchange)
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport in self._forgotten:
            await asyncio.sleep(_FORGOTTEN)
        exchange = Exchange(request, await request.read())
        exchange.task = asyncio.create_task(self._serve(exchange))
        exchange.task.add_done_callback(_looked_at)
        self._open.add(exchange)
        try:
            await asyncio.wait({exchange.task})
            return exchange.task.result()
        except (Cut, ClientError, OSError, asyncio.CancelledError):
            _reset(request.transport)
            # Where the client goes away, the API server carries out a write that is on its way all the same.
            if exchange.kind != "write":
                exchange.task.cancel()
            return web.Response()
        finally:
            self._open.discard(exchange)

    async def _serve(self, exchange: Exchange) -> web.StreamResponse:
        fault = next((it for it in self._faults if it.takes(exchange)), None)
        if fault is None:
            return await self._answered(exchange)
        fault.acting.add(exchange)
        try:
            return await fault.action.act(exchange, self._forward)
        finally:
            fault.acting.discard(exchange)

    async def _answered(self, exchange: Exchange) -> web.StreamResponse:
        answer = await self._forward(exchange)
        if exchange.muted:  # forgotten while it was carried out
            await asyncio.sleep(_FORGOTTEN)
        return answer

    async def _forward(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        headers = {key: text for key, text in request.headers.items() if key.lower() not in _OF_ONE_HOP}
        headers["Authorization"] = f"Bearer {self._token}"
        url = URL(self._server + request.raw_path, encoded=True)
        if exchange.kind == "list":
            self._lists[list_key(request)] = (url, headers)
        body = exchange.body or None
        async with self._session.request(
            request.method, url, data=body, headers=headers, skip_auto_headers=("Content-Type",)
        ) as answer:
            passed = {key: text for key, text in answer.headers.items() if key.lower() not in _OF_ONE_HOP}
            if exchange.kind == "watch" and answer.status == 200:
                return await self._stream(exchange, answer.content.iter_any(), passed)
            content = await answer.read()
            if exchange.kind in ("get", "write"):
                self.ledger.note(exchange, answer.status, content)
            return web.Response(status=answer.status, body=content, headers=passed)

    @staticmethod
    async def _stream(exchange: Exchange, chunks: Any, headers: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(exchange.request)
        async for chunk in chunks:
            if not exchange.muted:
                await response.write(chunk)
        if exchange.muted:
            await asyncio.sleep(_FORGOTTEN)
        return response

    async def _record(self) -> dict[str, web.Response]:
        found = {}
        for key, (url, headers) in list(self._lists.items()):
            async with self._session.get(url, headers=headers) as answer:
                passed = {name: text for name, text in answer.headers.items() if name.lower() not in _OF_ONE_HOP}
                found[key] = web.Response(status=answer.status, body=await answer.read(), headers=passed)
        return found


def _reset(transport: Any) -> None:
    """End a connection so that the other side sees a reset, not an orderly end."""
    if transport is None or transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Where the client has gone away nobody else asks how it ended."""
    if not task.cancelled():
        task.exception()
