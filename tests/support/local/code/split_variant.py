"""A Serve app for the tests of trafficSplit: shows what reached it, and answers in ways that are hard to pass on.

A Serve config names it as `import_path: split_variant:build`.
"""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel
from ray import serve
from ray.serve import Application
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]
BLOCK = bytes(range(256)) * 256


class Args(BaseModel):
    """The name that it answers with."""

    name: str


SEEN: list[str] = []


async def about(request: Request) -> Response:
    """What reached us."""
    SEEN.append(f"about {request.headers.get('x-llmpipeline-shadow', 'false')}")
    path = request.scope["raw_path"].decode("latin-1")[len(request.scope["root_path"]) :]
    body = {
        "name": request.app.state.name,
        "method": request.method,
        "path": path,
        "query": request.scope["query_string"].decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw],
        "body": (await request.body()).decode("latin-1"),
    }
    return JSONResponse(body, headers={"X-Seen-Method": request.method})


class Echo(Response):
    """The body back, while it still arrives."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for chunk in Request(scope, receive).stream():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def echo(_request: Request) -> Response:
    return Echo()


async def digest(request: Request) -> Response:
    """What the body hashes to."""
    sha = hashlib.sha256()
    async for chunk in request.stream():
        sha.update(chunk)
    return Response(sha.hexdigest())


async def big(request: Request) -> Response:
    """Many bytes, chunked."""

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(int(request.query_params["blocks"])):
            yield BLOCK

    return StreamingResponse(blocks(), media_type="application/octet-stream")


async def events(request: Request) -> Response:
    """Server-sent events with a gap between two; notes whether all were wanted."""
    count, gap = int(request.query_params["count"]), float(request.query_params["gap"])

    async def stream() -> AsyncIterator[bytes]:
        try:
            for number in range(count):
                yield f"data: {number}\n\n".encode()
                await asyncio.sleep(gap)
            SEEN.append("events whole")
        except (asyncio.CancelledError, GeneratorExit):
            SEEN.append("events cut off")
            raise

    return StreamingResponse(stream(), media_type="text/event-stream")


async def broken(_request: Request) -> Response:
    """Half an answer."""

    async def stream() -> AsyncIterator[bytes]:
        yield b"half "
        await asyncio.sleep(0.2)
        raise RuntimeError("the other half is lost")

    return StreamingResponse(stream(), media_type="text/plain")


async def slow(request: Request) -> Response:
    """An answer that takes long to begin."""
    try:
        await asyncio.sleep(float(request.query_params["seconds"]))
    except asyncio.CancelledError:
        SEEN.append("slow cut off")
        raise
    return Response("at last")


async def headers(_request: Request) -> Response:
    """Repeated and odd headers, and a body that is compressed already."""
    response = Response(gzip.compress(b"packed", mtime=0), 203, {"Content-Encoding": "gzip", "X-Odd": "\xe9, b"})
    response.raw_headers += [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2"), (b"x-variant", b"forged")]
    return response


async def seen(_request: Request) -> Response:
    """What was noted."""
    return JSONResponse(SEEN)


async def status(request: Request) -> Response:
    """A status without a body."""
    return Response(status_code=int(request.path_params["code"]))


@serve.deployment(max_ongoing_requests=200, ray_actor_options={"num_cpus": 0.1})
@serve.ingress()
class Variant:
    """One replica of the above."""

    def __init__(self, args: Args) -> None:
        self._name = args.name

    def __serve_build_asgi_app__(self) -> Any:
        paths: dict[str, Any] = {
            "/about{rest:path}": about,
            "/echo": echo,
            "/digest": digest,
            "/big": big,
            "/events": events,
            "/broken": broken,
            "/slow": slow,
            "/headers": headers,
            "/seen": seen,
            "/status/{code:int}": status,
            "/redirect": lambda _request: RedirectResponse("/elsewhere"),
        }
        app = Starlette(routes=[Route(path, handler, methods=METHODS) for path, handler in paths.items()])
        app.state.name = self._name
        return app


def build(args: Args) -> Application:
    """Build the app."""
    return Variant.bind(args)  # type: ignore[attr-defined]
