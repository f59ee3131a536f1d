"""What every app does with an HTTP request before and after its own work.

Serve's proxy has already given the request an id (its `X-Request-ID` or a new one), which is in every log line and in
the answer's headers, and it cancels the handling when the client goes away.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from llmpipeline_serve import strict_json
from llmpipeline_serve.contract.base import Limits
from llmpipeline_serve.errors import ApiError, invalid, too_large
from llmpipeline_serve.pieces import closed
from llmpipeline_serve.responses import explain

Body = TypeVar("Body", bound=BaseModel)
Answer = dict[str, object] | AsyncIterator[dict[str, object]]

logger = logging.getLogger("ray.serve")

_WRONG_METHOD = ApiError(
    HTTPStatus.METHOD_NOT_ALLOWED,
    "method_not_allowed",
    "this app takes POST with a JSON object",
    headers={"Allow": "POST"},
)


def own_error_body(error: ApiError) -> dict[str, Any]:
    """The form of errors, but for apps that speak another's protocol."""
    return error.body


class Front:
    """The way in and out of one app: JSON in; JSON, server-sent events or an error out."""

    def __init__(
        self, limits: Limits, *, path: str = "", error_body: Callable[[ApiError], dict[str, Any]] = own_error_body
    ) -> None:
        """Take what a request may take, the path inside the app where it comes, and the form of errors."""
        self._limits = limits
        self._path = path
        self._error_body = error_body

    async def answer(
        self, request: Request, model: type[Body], handle: Callable[[Body], Awaitable[Answer]]
    ) -> Response:
        """Answer one request.

        Args:
            request: The request as Serve hands it over.
            model: What the body must be.
            handle: The app's own work. It returns the answer's JSON object, or an iterator of objects, each of which is
                then sent as an event. It raises ApiError where it cannot.
        """
        deadline = asyncio.get_running_loop().time() + self._limits.timeout_seconds
        try:
            async with asyncio.timeout_at(deadline):
                body = await self._body(request, model)
                result = await handle(body)
            if isinstance(result, dict):
                # Here, for what the user's own code returns may be no JSON.
                return JSONResponse(result)
        except ClientDisconnect:
            raise
        except Exception as error:
            return self.error(explain(error, self._limits.timeout_seconds))
        return StreamingResponse(
            self._events(result, deadline), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
        )

    def error(self, error: ApiError) -> Response:
        """An error as an answer."""
        return JSONResponse(self._error_body(error), error.status, error.headers)

    async def _body(self, request: Request, model: type[Body]) -> Body:
        inside = path_inside(request)
        if inside != self._path:
            raise nothing_at(inside)
        if request.method != "POST":
            raise _WRONG_METHOD
        body = parse(await read(request, self._limits.max_body_bytes), model)
        if self._limits.log_prompts:
            logger.info("request %s", body.model_dump_json(exclude_unset=True))
        return body

    async def _events(self, events: AsyncIterator[dict[str, object]], deadline: float) -> AsyncIterator[bytes]:
        """Server-sent events. The status is sent by now, so that an error can only be the last event."""
        try:
            async with asyncio.timeout_at(deadline):
                async for event in events:
                    yield _event(event)
        except Exception as error:
            yield _event(self._error_body(explain(error, self._limits.timeout_seconds)))
        finally:
            await closed(events)
        yield b"data: [DONE]\n\n"


def path_inside(request: Request) -> str:
    """The path below the app's route, without a slash at its end."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", "")).rstrip("/")


def nothing_at(inside: str) -> ApiError:
    """The error of a path that the app does not have."""
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", f"there is nothing at {inside} of this app")


async def read(request: Request, most_bytes: int) -> bytes:
    """The request's body. Stops reading where it becomes too long, whatever its Content-Length says."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise too_large(f"the body may have at most {most_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def parse(body: bytes, model: type[Body]) -> Body:
    """The body as the app's own type, or an error that names the field."""
    try:
        content = strict_json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise invalid("the body must be a JSON object")
    _check_text(content, ())
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _explained(error.errors(include_url=False)[0]) from error


def _check_text(content: Any, path: tuple[str, ...]) -> None:
    """Half a surrogate pair is JSON and yet no text: nothing that comes after could encode it."""
    if isinstance(content, str):
        try:
            content.encode()
        except UnicodeEncodeError as error:
            at = ".".join(path)
            raise invalid(f"{at}: holds half of a surrogate pair, which is not text", at) from error
    elif isinstance(content, dict):
        for name, value in content.items():
            _check_text(name, (*path, "a name"))
            _check_text(value, (*path, name))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            _check_text(value, (*path, str(index)))


def _explained(detail: ErrorDetails) -> ApiError:
    at = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
    if detail["type"] == "extra_forbidden":
        message = "unknown field"
    if detail["type"] == "missing":
        message = "is required"
    return invalid(f"{at}: {message[0].lower()}{message[1:]}", at)


def _event(content: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
