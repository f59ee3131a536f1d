"""A reverse proxy on this machine's loopback address: what a browser or curl talks to.

It adds Ray's token to what it passes on. So it answers nothing that a page of another site makes a browser send: such a
page must not submit jobs to Ray.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import BaseConnector, ClientError, ClientSession, ClientTimeout, DummyCookieJar, WSMsgType, hdrs, web
from aiohttp.client import ClientWebSocketResponse
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

HOST: Final = "127.0.0.1"
# Of one connection, not of the request: they are not passed on.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
        "upgrade", "expect",
    }
)  # fmt: skip
_OF_A_HANDSHAKE: Final = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"})
# Fewer than the Kubernetes client's own 100, so that one is left to ask the API server.
_AT_ONCE: Final = 64
# Ray Serve closes an idle connection after 5 s.
_IDLE_SECONDS: Final = 4.0
_END_SECONDS: Final = 1.0

Dial = Callable[[], Awaitable[socket.socket]]


class LocalProxy:
    """Passes requests on over connections that `dial` makes; a context manager."""

    def __init__(
        self,
        listening: socket.socket,
        dial: Dial,
        *,
        upstream: Callable[[], str],
        token: Callable[[], str],
        explain: Callable[[Exception], str],
        is_private: bool,
    ) -> None:
        """Take a socket that listens on the loopback address.

        Args:
            listening: The socket.
            dial: Makes a connection to where requests go; what it raises, `explain` puts into words.
            upstream: What tells apart where they go. Connections are kept for it.
            token: That is added to each request; empty: none.
            explain: Why a request cannot be passed on.
            is_private: Requests from pages of other origins are rejected, not only those with a foreign Host.
        """
        port = listening.getsockname()[1]
        self.url = f"http://{HOST}:{port}"
        self._hosts = {f"{host}:{port}" for host in (HOST, "localhost")}
        self._listening, self._dial = listening, dial
        self._upstream, self._token, self._explain = upstream, token, explain
        self._is_private = is_private

    async def __aenter__(self) -> "LocalProxy":
        self._session = ClientSession(
            connector=DialConnector(self._dial),
            timeout=ClientTimeout(total=None),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            # Else it adds its own to requests that have none.
            skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
        )
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_END_SECONDS,
            auto_decompress=False,
        )
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening).start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refusal(request):
            return web.Response(status=403, text=f"{refusal}\n")
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await self._pass_websocket(request)
        return await self._pass(request)

    def _refusal(self, request: web.Request) -> str:
        """Why a request is not passed on; empty if it is."""
        # A name that somebody else lets point to 127.0.0.1 would make this the origin of their page.
        if request.headers.get(hdrs.HOST, "").lower() not in self._hosts:
            return f"the Host of this request is not allowed: open {self.url}"
        if not self._is_private:
            return ""
        origin = request.headers.get(hdrs.ORIGIN, "").lower()
        is_foreign = bool(origin) and origin.removeprefix("http://") not in self._hosts
        if is_foreign or request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            return f"this request comes from a page of another site: type {self.url} into the address bar"
        return ""

    def _url(self, request: web.Request) -> URL:
        return URL(f"http://{self._upstream()}{request.rel_url.raw_path_qs}", encoded=True)

    def _headers(self, request: web.Request) -> CIMultiDict[str]:
        headers = _passed_on(request.headers)
        if token := self._token():
            headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        return headers

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        try:
            answer = await self._session.request(
                request.method,
                self._url(request),
                headers=self._headers(request),
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            )
        except Exception as error:  # whatever it is, the browser shows it
            return self._no_answer(error)
        async with answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=_passed_on(answer.headers)
            )
            await response.prepare(request)
            try:
                async for piece in answer.content.iter_any():
                    await response.write(piece)
            except ClientError:
                # Without its end the client sees that the body is not complete.
                if request.transport:
                    request.transport.abort()
                return response
            await response.write_eof()
        return response

    async def _pass_websocket(self, request: web.Request) -> web.StreamResponse:
        headers = self._headers(request)
        for name in _OF_A_HANDSHAKE:
            headers.popall(name, None)
        protocols = tuple(it.strip() for it in headers.popone(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",") if it.strip())
        try:
            remote = await self._session.ws_connect(
                self._url(request), headers=headers, protocols=protocols, max_msg_size=0
            )
        except Exception as error:  # whatever it is, the browser shows it
            return self._no_answer(error)
        async with remote:
            local = web.WebSocketResponse(protocols=[remote.protocol] if remote.protocol else (), max_msg_size=0)
            await local.prepare(request)
            ways = {asyncio.create_task(_copy(local, remote)), asyncio.create_task(_copy(remote, local))}
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            await local.close(code=remote.close_code or 1000)
        return local

    def _no_answer(self, error: Exception) -> web.Response:
        return web.Response(status=502, text=f"{self._explain(error)}\n")


class DialConnector(BaseConnector):
    """Makes connections by `dial`, whatever the address of the request."""

    def __init__(self, dial: Dial) -> None:
        super().__init__(limit=_AT_ONCE, keepalive_timeout=_IDLE_SECONDS)
        self._dial = dial

    async def _create_connection(self, *_request: object) -> ResponseHandler:
        connected = await self._dial()
        _, protocol = await asyncio.get_running_loop().create_connection(self._factory, sock=connected)
        return protocol


def _passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP | named)


async def _copy(
    source: web.WebSocketResponse | ClientWebSocketResponse, target: web.WebSocketResponse | ClientWebSocketResponse
) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
