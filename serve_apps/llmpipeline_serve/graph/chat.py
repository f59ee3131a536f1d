"""OpenAI's chat protocol in front of a graph: requests in, answers, chunks of answers and errors out."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from llmpipeline_serve.contract.graph import ChatSettings
from llmpipeline_serve.errors import ApiError, invalid
from llmpipeline_serve.graph.messages import conversation, last_user_text
from llmpipeline_serve.graph.run import CompiledGraph, evaluated
from llmpipeline_serve.pieces import closed, only
from llmpipeline_serve.templates import expression

COMPLETIONS: Final = "/v1/chat/completions"
MODELS: Final = "/v1/models"

Chunk = dict[str, object]

# What an answer would have to look different for.
_NOT_TAKEN: Final = ("tools", "functions", "logprobs", "audio")
_CLIENTS_MISTAKES: Final = range(400, 500)


class StreamOptions(BaseModel):
    """What a stream holds besides the answer."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """The body of a request. Templates read the fields that are not here too."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    messages: list[Any]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    response_format: dict[str, Any] | None = None


def error_body(error: ApiError) -> dict[str, Any]:
    """An error as clients of OpenAI read it."""
    kind = "invalid_request_error" if error.status in _CLIENTS_MISTAKES else "server_error"
    return {"error": {"message": error.message, "type": kind, "param": error.field, "code": error.kind}}


class Chat:
    """The chat of one graph."""

    def __init__(self, settings: ChatSettings, graph: CompiledGraph) -> None:
        self.name = settings.model
        self._answer = expression(settings.answer)
        self._graph = graph
        # The node whose text is the answer and nothing else is.
        self.node = graph.node_of_text(settings.answer)

    def models(self) -> dict[str, Any]:
        """The answer to `GET /v1/models`."""
        return {"object": "list", "data": [self.model()]}

    def model(self) -> dict[str, Any]:
        """The one model that there is, as clients see it."""
        return {"id": self.name, "object": "model", "created": 0, "owned_by": "llmpipeline"}

    def request(self, body: ChatRequest) -> dict[str, Any]:
        """What templates see of a request: all of it, with `messages` checked, and what the user said last as `text`.

        Raises:
            ApiError: It is for another model, or asks for what a graph does not do.
        """
        if body.model is not None and body.model != self.name:
            message = f"model: there is no model {body.model!r}; there is {self.name}"
            raise ApiError(HTTPStatus.NOT_FOUND, "model_not_found", message, "model")
        given = body.model_dump(exclude_unset=True)
        _check(given)
        messages = conversation(body.messages, "messages")
        return {**given, "messages": messages, "text": last_user_text(messages)}

    def completion(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The whole answer, from the results of all nodes."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self.text(values)},
            "finish_reason": self._finish_reason(values),
            "logprobs": None,
        }
        usage = self._graph.usage(values)
        return {**self._head("chat.completion"), "choices": [choice], **({"usage": usage} if usage else {})}

    def text(self, values: Mapping[str, Any]) -> str:
        """The answer's text.

        Raises:
            ApiError: The expression gives something else.
        """
        found = evaluated(self._answer, values, "chat.answer")
        if not isinstance(found, str):
            what = "null, because a node was skipped" if found is None else f"no string but {type(found).__name__}"
            message = f"chat.answer gives {what}"
            raise ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "template_failed", message, "chat.answer")
        return found

    async def chunks(
        self, body: ChatRequest, values: dict[str, Any], pieces: AsyncIterator[dict[str, Any]]
    ) -> AsyncIterator[Chunk]:
        """The answer in chunks, from the results of the other nodes and the pieces of the last."""
        head, reason = self._head("chat.completion.chunk"), None
        with_usage = bool(body.stream_options and body.stream_options.include_usage)
        yield _chunk(head, {"role": "assistant", "content": ""}, None)
        try:
            async for piece in pieces:
                if piece.get("text"):
                    yield _chunk(head, {"content": piece["text"]}, None)
                reason = piece.get("finish_reason") or reason
                if self.node and "usage" in piece:
                    values = {**values, self.node: piece}
        finally:
            await closed(pieces)
        yield _chunk(head, {}, reason or "stop")
        if with_usage and (usage := self._graph.usage(values)):
            yield {**head, "choices": [], "usage": usage}

    def whole(self, values: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The answer as the one piece of a stream. What is wrong with it is raised at once, as in `text`."""
        return only({"text": self.text(values), "finish_reason": self._finish_reason(values)})

    def _finish_reason(self, values: Mapping[str, Any]) -> str:
        found = values.get(self.node or "")
        return (found.get("finish_reason") if isinstance(found, dict) else None) or "stop"

    def _head(self, kind: str) -> dict[str, Any]:
        name = f"chatcmpl-{uuid.uuid4().hex}"
        return {"id": name, "object": kind, "created": int(time.time()), "model": self.name}


def _chunk(head: Mapping[str, Any], delta: dict[str, Any], reason: str | None) -> Chunk:
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]}


def _check(given: Mapping[str, Any]) -> None:
    if given.get("n") not in (None, 1):
        raise invalid("n: must be 1, because a graph gives one answer", "n")
    for name in _NOT_TAKEN:
        if given.get(name):
            raise invalid(f"{name}: is not available in a graph", name)
    if (given.get("response_format") or {}).get("type", "text") != "text":
        raise invalid("response_format: must be of type text in a graph", "response_format")
