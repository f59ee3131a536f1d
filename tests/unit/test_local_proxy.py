"""The proxy of `llmpipeline open`, before a real server that demands a token."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType, web

from llmpipeline.cli.local_proxy import LocalProxy

TOKEN = "s3cret"
GO, LEFT = web.AppKey("go", asyncio.Event), web.AppKey("left", asyncio.Event)


@web.middleware
async def demand_token(request: web.Request, handler: Any) -> web.StreamResponse:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return web.Response(status=401)
    return await handler(request)  # type: ignore[no-any-return]


async def echo(request: web.Request) -> web.Response:
    body = await request.read()
    seen = {"method": request.method, "path": request.raw_path, "headers": dict(request.headers), "size": len(body)}
    return web.json_response(seen, headers={"X-Answer": "yes", "Set-Cookie": "a=b"})


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: 1\n\n")
    await request.app[GO].wait()
    await response.write(b"data: 2\n\n")
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b"x" * 1000)
            await asyncio.sleep(0.01)
    finally:
        request.app[LEFT].set()


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    assert request.transport
    request.transport.close()
    return response


async def zipped(request: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"})


async def chat(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(protocols=["two"])
    await websocket.prepare(request)
    async for message in websocket:
        if message.data == "end":
            await websocket.close(code=4001)
        elif message.type is WSMsgType.TEXT:
            await websocket.send_str(message.data.upper())
        else:
            await websocket.send_bytes(message.data * 2)
    return websocket


class Upstream:
    """The server, and how often a connection to it was made."""

    def __init__(self) -> None:
        self.dialled, self.name, self.fault = 0, "pod-1", ""
        self.port = 0

    async def dial(self) -> socket.socket:
        if self.fault:
            raise LookupError(self.fault)
        self.dialled += 1
        connected = socket.create_connection(("127.0.0.1", self.port))
        connected.setblocking(False)
        return connected


@asynccontextmanager
async def serving(*, is_private: bool = True, token: str = TOKEN) -> AsyncIterator[tuple[LocalProxy, Upstream, Any]]:
    app = web.Application(middlewares=[demand_token] if token else [], client_max_size=2**30)
    app[GO], app[LEFT] = asyncio.Event(), asyncio.Event()
    for path, handler in {
        "/stream": stream, "/endless": endless, "/cut": cut, "/zipped": zipped, "/chat": chat, "/{rest:.*}": echo,
    }.items():  # fmt: skip
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    upstream = Upstream()
    upstream.port = listening.getsockname()[1]
    proxy = LocalProxy(
        socket.create_server(("127.0.0.1", 0)),
        upstream.dial,
        upstream=lambda: upstream.name,
        token=lambda: token,
        explain=str,
        is_private=is_private,
    )
    try:
        async with proxy:
            yield proxy, upstream, app
    finally:
        await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as opened:
        yield opened


async def test_the_token_is_added_and_what_the_client_sent_instead_is_not_passed_on(session: ClientSession) -> None:
    async with serving() as (proxy, _, _app):
        headers = {"Authorization": "Bearer mine", "Connection": "keep-alive, X-Hop", "X-Hop": "1", "X-Kept": "1"}
        async with session.get(f"{proxy.url}/a%2Fb?q=%20x", headers=headers) as answer:
            seen = await answer.json()
            assert (answer.status, answer.headers["X-Answer"], answer.cookies["a"].value) == (200, "yes", "b")
        assert seen["path"] == "/a%2Fb?q=%20x"
        assert (seen["headers"]["X-Kept"], "X-Hop" in seen["headers"]) == ("1", False)
        assert f"http://{seen['headers']['Host']}" == proxy.url


async def test_without_a_token_nothing_is_added(session: ClientSession) -> None:
    async with serving(token="") as (proxy, _, _app), session.get(proxy.url) as answer:
        assert "Authorization" not in (await answer.json())["headers"]


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_large_bodies(session: ClientSession, is_chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65536

    async with serving() as (proxy, _, _app):
        body: Any = pieces() if is_chunked else b"x" * (64 * 65536)
        async with session.post(f"{proxy.url}/up", data=body) as answer:
            seen = await answer.json()
    assert (seen["method"], seen["size"]) == ("POST", 64 * 65536)
    assert ("Transfer-Encoding" in seen["headers"]) == is_chunked


async def test_a_stream_arrives_while_it_is_written(session: ClientSession) -> None:
    async with serving() as (proxy, _, app), session.get(f"{proxy.url}/stream") as answer:
        assert await answer.content.readany() == b"data: 1\n\n"
        app[GO].set()
        assert await answer.content.read() == b"data: 2\n\n"


async def test_a_client_that_leaves_ends_the_request(session: ClientSession) -> None:
    async with serving() as (proxy, _, app):
        async with session.get(f"{proxy.url}/endless") as answer:
            await answer.content.readany()
            answer.close()
        await asyncio.wait_for(app[LEFT].wait(), 5)


async def test_it_ends_at_once_though_a_request_goes_on(session: ClientSession) -> None:
    async with serving() as (proxy, _, app):
        answer = await session.get(f"{proxy.url}/endless")
        await answer.content.readany()
        async with asyncio.timeout(5):
            await proxy.__aexit__()
        await asyncio.wait_for(app[LEFT].wait(), 5)
        answer.close()


async def test_a_body_that_is_cut_is_not_taken_for_complete(session: ClientSession) -> None:
    async with serving() as (proxy, _, _app), session.get(f"{proxy.url}/cut") as answer:
        with pytest.raises(Exception, match=r"payload|closed|reset"):
            await answer.read()


async def test_a_compressed_body_stays_so(session: ClientSession) -> None:
    async with serving() as (proxy, _, _app), session.get(f"{proxy.url}/zipped") as answer:
        assert (answer.headers["Content-Encoding"], await answer.read()) == ("gzip", b"hello")


async def test_head(session: ClientSession) -> None:
    async with serving() as (proxy, _, _app), session.head(f"{proxy.url}/zipped") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_websockets(session: ClientSession) -> None:
    async with serving() as (proxy, _, _app), session.ws_connect(f"{proxy.url}/chat", protocols=("two",)) as websocket:
        await websocket.send_str("hello")
        await websocket.send_bytes(b"ab")
        assert (websocket.protocol, await websocket.receive_str()) == ("two", "HELLO")
        assert await websocket.receive_bytes() == b"abab"
        await websocket.send_str("end")
        await websocket.receive()
        assert websocket.close_code == 4001


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", ""]
)
@pytest.mark.parametrize("is_private", [True, False])
async def test_a_foreign_host_is_rejected(session: ClientSession, host: str, is_private: bool) -> None:
    async with serving(is_private=is_private) as (proxy, upstream, _app):
        named = host.format(port=proxy.url.rpartition(":")[2])
        async with session.get(proxy.url, headers={"Host": named}) as answer:
            assert (answer.status, upstream.dialled) == (403, 0)


async def test_localhost_is_this_machine_too(session: ClientSession) -> None:
    async with serving() as (proxy, _, _app):
        port = proxy.url.rpartition(":")[2]
        async with session.get(proxy.url, headers={"Host": f"localhost:{port}"}) as answer:
            assert answer.status == 200


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_page_of_another_site_does_not_get_the_token(session: ClientSession, headers: dict[str, str]) -> None:
    """It may send a form to 127.0.0.1: without this it would submit jobs to Ray."""
    async with serving() as (proxy, upstream, _app):
        async with session.post(f"{proxy.url}/api/jobs/", data=b"{}", headers=headers) as answer:
            assert (answer.status, upstream.dialled) == (403, 0)
        async with session.get(proxy.url, headers={"Origin": proxy.url, "Sec-Fetch-Site": "same-origin"}) as answer:
            assert answer.status == 200


async def test_the_serving_port_leaves_other_origins_to_the_apps(session: ClientSession) -> None:
    headers = {"Origin": "http://localhost:3000"}
    async with serving(is_private=False) as (proxy, _, _app), session.get(proxy.url, headers=headers) as answer:
        assert answer.status == 200


async def test_connections_are_kept_until_another_pod_answers(session: ClientSession) -> None:
    async with serving() as (proxy, upstream, _app):
        for name, dialled in (("pod-1", 1), ("pod-1", 1), ("pod-2", 2)):
            upstream.name = name
            async with session.get(proxy.url) as answer:
                await answer.read()
            assert upstream.dialled == dialled


async def test_many_at_once(session: ClientSession) -> None:
    async def one(number: int) -> str:
        async with session.get(f"{proxy.url}/{number}") as answer:
            return str(json.loads(await answer.read())["path"])

    async with serving() as (proxy, _, _app):
        found = await asyncio.gather(*[one(number) for number in range(200)])
    assert found == [f"/{number}" for number in range(200)]


@pytest.mark.parametrize("path", ["/", "/chat"])
async def test_why_there_is_no_answer(session: ClientSession, path: str) -> None:
    async with serving() as (proxy, upstream, _app):
        upstream.fault = "the head Pod is gone"
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"} if path == "/chat" else {}
        async with session.get(f"{proxy.url}{path}", headers=headers) as answer:
            assert (answer.status, "the head Pod is gone" in await answer.text()) == (502, True)
