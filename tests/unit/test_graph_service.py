"""A node's call of a service: what comes back is bounded in size and time, and some addresses are never called."""

import asyncio
import gzip
import json
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from llmpipeline_serve.contract.graph import HttpSettings
from llmpipeline_serve.errors import ApiError
from llmpipeline_serve.graph.service import MOST_BYTES, Service
from support.child_process import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Starts a service that answers by a function; returns its address."""
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        runners.append(runner)
        return f"http://127.0.0.1:{port}/"

    yield start
    for runner in runners:
        await runner.cleanup()


def answers(body: bytes, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": "text/plain", **headers})

    return handler


async def ask(url: str, seconds: float = 5) -> dict[str, object]:
    service = Service()
    try:
        return await service.ask(HttpSettings(url=url, timeout_seconds=seconds), {"text": "hello"})
    finally:
        await service._session.close()


async def fails(url: str, seconds: float = 5) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await ask(url, seconds)
    return caught.value


@pytest.mark.parametrize("packing", ["identity", "gzip", "deflate"])
async def test_json_and_text(serve: Callable[[Handler], Awaitable[str]], packing: str) -> None:
    pack = {"identity": bytes, "gzip": gzip.compress, "deflate": zlib.compress}[packing]
    encoding = {} if packing == "identity" else {"Content-Encoding": packing}
    as_json = await serve(answers(pack(b'{"a": [1, "\xc3\xa9"]}'), **JSON, **encoding))
    assert await ask(as_json) == {"status": 200, "body": {"a": [1, "é"]}}
    as_text = await serve(answers(pack(b"plain"), **encoding))
    assert await ask(as_text) == {"status": 200, "body": "plain"}


async def test_what_is_sent(serve: Callable[[Handler], Awaitable[str]]) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"method": request.method, "got": await request.json()})

    assert await ask(await serve(echo)) == {"status": 200, "body": {"method": "POST", "got": {"text": "hello"}}}


async def test_a_large_answer_is_cut_off(serve: Callable[[Handler], Awaitable[str]]) -> None:
    assert (await ask(await serve(answers(b"x" * MOST_BYTES))))["body"] == "x" * MOST_BYTES
    error = await fails(await serve(answers(b"x" * (MOST_BYTES + 1))))
    assert (error.status, error.kind) == (502, "upstream_failed")
    assert "more than 4194304 bytes" in error.message


async def test_an_answer_that_unpacks_to_too_much_is_cut_off(serve: Callable[[Handler], Awaitable[str]]) -> None:
    """400 MB of zeros are 400 KB of gzip: no more than the bound is ever unpacked."""
    import tracemalloc

    bomb = gzip.compress(bytes(400_000_000), compresslevel=1)
    url = await serve(answers(bomb, **{"Content-Encoding": "gzip"}))
    del bomb
    tracemalloc.start()
    error = await fails(url, 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "more than" in error.message
    assert peak < 40_000_000


async def test_an_endless_answer_is_cut_off(serve: Callable[[Handler], Awaitable[str]]) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(2**16))

    assert "more than" in (await fails(await serve(endless))).message


@pytest.mark.parametrize("after_headers", [False, True])
async def test_a_slow_service_takes_no_longer_than_the_limit(
    serve: Callable[[Handler], Awaitable[str]], after_headers: bool
) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if after_headers:
            await response.prepare(request)
        await asyncio.sleep(30)
        return response

    url = await serve(slow)
    began = asyncio.get_running_loop().time()
    error = await fails(url, 0.5)
    assert (error.status, error.kind) == (504, "timeout")
    assert asyncio.get_running_loop().time() - began < 5


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"a": NaN}', JSON),
        (b'{"a": Infinity}', JSON),
        (b"[" * 100_000, JSON),
        (b"no json", JSON),
        (b"not gzip", {"Content-Encoding": "gzip"}),
        (gzip.compress(b"x" * 1000, mtime=0)[:-20], {"Content-Encoding": "gzip"}),
        (b"x", {"Content-Encoding": "br"}),
    ],
)
async def test_an_answer_that_is_none(
    serve: Callable[[Handler], Awaitable[str]], body: bytes, headers: dict[str, str]
) -> None:
    error = await fails(await serve(answers(body, **headers)))
    assert (error.status, error.kind) == (502, "upstream_failed")


@pytest.mark.parametrize("status", [301, 302, 404, 500])
async def test_an_error_and_a_redirect_are_no_answer(serve: Callable[[Handler], Awaitable[str]], status: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "http://169.254.169.254/"})

    assert f"the service answered {status}" in (await fails(await serve(handler))).message


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"],
)
async def test_metadata_services_are_not_called(host: str) -> None:
    assert "link-local" in (await fails(f"http://{host}/latest/meta-data/")).message


class _Answers(AbstractResolver):
    """A resolver that knows one name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        plain = {"hostname": host, "port": port, "family": family, "proto": 0, "flags": 0}
        return [ResolveResult(**{**plain, "host": address}) for address in self._addresses]  # type: ignore[typeddict-item]

    async def close(self) -> None:
        pass


async def test_nor_by_a_name_that_leads_to_one(serve: Callable[[Handler], Awaitable[str]]) -> None:
    url = (await serve(answers(json.dumps({"a": 1}).encode(), **JSON))).replace("127.0.0.1", "service.example")
    for addresses, works in (
        (["169.254.169.254"], False),
        (["169.254.169.254", "fe80::1%eth0"], False),
        (["169.254.169.254", "127.0.0.1"], True),
    ):
        service = Service(_Answers(*addresses))
        settings = HttpSettings(url=url, timeout_seconds=5)
        if works:
            assert (await service.ask(settings, {}))["body"] == {"a": 1}
        else:
            with pytest.raises(ApiError, match="cannot be called"):
                await service.ask(settings, {})
        await service._session.close()


async def test_a_service_gets_the_requests_identity_and_no_other_header(
    serve: Callable[[Handler], Awaitable[str]],
) -> None:
    seen: list[set[str]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append({name.lower() for name in request.headers})
        return web.Response(text="fine")

    service = Service()
    settings = HttpSettings(url=await serve(handler), timeout_seconds=5)
    try:
        await service.ask(settings, {}, [("x-request-id", "1"), ("traceparent", "2")])
        await service.ask(settings, {})
    finally:
        await service._session.close()
    with_identity, without = seen
    assert with_identity - without == {"x-request-id", "traceparent"}
    assert without == {"host", "accept", "accept-encoding", "user-agent", "content-length", "content-type"}
