"""The HTTP side of a graph's chat: OpenAI's paths below the app's route."""

from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from llmpipeline_serve.contract.base import Limits
from llmpipeline_serve.contract.graph import ChatSettings
from llmpipeline_serve.errors import ApiError
from llmpipeline_serve.front import Answer, Front, nothing_at, path_inside
from llmpipeline_serve.graph.chat import COMPLETIONS, MODELS, Chat, ChatRequest, error_body
from llmpipeline_serve.graph.run import CompiledGraph
from llmpipeline_serve.graph.stream import Asking

_PROTOCOL: Final = "/v1"
_READ: Final = ("GET", "HEAD")


def is_for_chat(request: Request) -> bool:
    """Whether a request is in OpenAI's protocol, by its path."""
    inside = path_inside(request)
    return inside == _PROTOCOL or inside.startswith(f"{_PROTOCOL}/")


class ChatDoor:
    """Answers in OpenAI's protocol."""

    def __init__(self, settings: ChatSettings, limits: Limits, graph: CompiledGraph) -> None:
        self._graph = graph
        self._chat = Chat(settings, graph)
        self._front = Front(limits, path=COMPLETIONS, error_body=error_body)

    async def answer(self, request: Request, asking: Asking) -> Response:
        """Answer one request."""
        inside = path_inside(request)
        if inside == COMPLETIONS:
            return await self._front.answer(request, ChatRequest, partial(self._completed, asking))
        known = {MODELS: self._chat.models, f"{MODELS}/{self._chat.name}": self._chat.model}
        if inside not in known:
            return self._front.error(nothing_at(inside))
        if request.method not in _READ:
            message, headers = f"{inside} takes GET", {"Allow": "GET"}
            return self._front.error(
                ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, headers=headers)
            )
        return JSONResponse(known[inside]())

    async def _completed(self, asking: Asking, body: ChatRequest) -> Answer:
        chat, request = self._chat, self._chat.request(body)
        if not body.stream:
            return chat.completion(await self._graph.values(request, asking.ask))
        if chat.node is None:
            values, pieces = await self._graph.values(request, asking.ask), None
        else:
            values, pieces = await asking.streamed(self._graph, chat.node, request)
        # What has no pieces is one: clients that ask for a stream can read nothing else.
        return chat.chunks(body, values, chat.whole(values) if pieces is None else pieces)
