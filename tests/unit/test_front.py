"""What every app does with a request and its answer, with Starlette alone; on real Ray: tests/apps."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from llmpipeline_serve.contract.base import Limits
from llmpipeline_serve.errors import overloaded
from llmpipeline_serve.front import Front


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    more: dict[str, Any] = {}


def request(body: bytes, path: str = "/app", method: str = "POST", chunk: int = 1000) -> Request:
    chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    scope = {"type": "http", "method": method, "path": path, "root_path": "/app", "headers": [], "query_string": b""}
    return Request(scope, receive)


async def answer(handle: Any, body: bytes = b'{"text": "hi"}', limits: Limits | None = None, **more: Any) -> Response:
    return await Front(limits or Limits()).answer(request(body, **more), Body, handle)


async def give(result: Any) -> Any:
    return result


def error(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(response.body))["error"]
    assert found.keys() == {"type", "message", "field"}
    return found


async def test_an_answer() -> None:
    response = await answer(lambda body: give({"got": body.text}))
    assert (response.status_code, bytes(response.body)) == (200, b'{"got":"hi"}')


@pytest.mark.parametrize(
    ("body", "status", "kind", "field"),
    [
        (b"{", 400, "invalid_request", None),
        (b'{"text": "a", "more": NaN}', 400, "invalid_request", None),
        (b'{"text": "a", "more": [-Infinity]}', 400, "invalid_request", None),
        (b'"text"', 400, "invalid_request", None),
        (b'{"text": 1}', 400, "invalid_request", "text"),
        (b"{}", 400, "invalid_request", "text"),
        (b'{"text": "a", "x": 1}', 400, "invalid_request", "x"),
        (b'{"text": "a", "more": {"b": ["c", "\\udfff"]}}', 400, "invalid_request", "more.b.1"),
        (b"[" * 100_000, 400, "invalid_request", None),
        (b'{"text": "' + b"x" * 3000 + b'"}', 413, "too_large", None),
    ],
)
async def test_what_is_no_request(body: bytes, status: int, kind: str, field: str | None) -> None:
    response = await answer(lambda _: give({}), body, Limits(max_body_bytes=200_000 if kind != "too_large" else 2000))
    found = error(response)
    assert (response.status_code, found["type"], found["field"]) == (status, kind, field)


async def test_a_body_is_read_no_further_than_its_limit() -> None:
    given = request(b"x" * 100_000)
    response = await Front(Limits(max_body_bytes=1500)).answer(given, Body, lambda _: give({}))
    assert response.status_code == 413
    assert (await given.receive())["more_body"]


async def test_too_late() -> None:
    response = await answer(lambda _: asyncio.sleep(60), limits=Limits(timeout_seconds=0.01))
    assert (response.status_code, error(response)["type"]) == (504, "timeout")


async def test_an_error_of_the_app_keeps_its_header() -> None:
    async def full(_: Body) -> Any:
        raise overloaded("full", retry_after_seconds=7)

    response = await answer(full)
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


@pytest.mark.parametrize("result", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}])
async def test_an_answer_that_is_no_json(result: Any) -> None:
    response = await answer(lambda _: give(result))
    assert (response.status_code, error(response)["type"]) == (500, "internal")


async def test_a_mistake_of_the_app_is_not_told() -> None:
    async def fail(_: Body) -> Any:
        raise RuntimeError("a secret")

    response = await answer(fail)
    assert response.status_code == 500
    assert b"secret" not in bytes(response.body)


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/app/x", "POST", 404), ("/app", "GET", 405), ("/app/", "POST", 200)]
)
async def test_paths_and_methods(path: str, method: str, status: int) -> None:
    assert (await answer(lambda _: give({}), path=path, method=method)).status_code == status


async def _events(*events: dict[str, object] | Exception) -> AsyncIterator[dict[str, object]]:
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


async def test_a_stream_that_fails_says_so_in_its_last_event() -> None:
    response = await answer(lambda _: give(_events({"text": "é"}, ValueError("a secret"))))
    assert isinstance(response, StreamingResponse)
    sent = b"".join([bytes(part) async for part in response.body_iterator])  # type: ignore[arg-type]
    first, second, last, rest = sent.split(b"\n\n")
    assert first == 'data: {"text":"é"}'.encode()
    assert json.loads(second.removeprefix(b"data: "))["error"]["type"] == "internal"
    assert b"secret" not in sent
    assert (last, rest) == (b"data: [DONE]", b"")
