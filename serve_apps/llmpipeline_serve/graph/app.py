"""The deployment that takes the requests, and the whole app.

A Serve config names it as `import_path: llmpipeline_serve.graph.app:build`.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import Response

from llmpipeline_serve import tracing
from llmpipeline_serve.contract.base import AppArgs
from llmpipeline_serve.contract.graph import GraphArgs, GraphSettings, HttpArgs, NodeArgs, PreprocessArgs
from llmpipeline_serve.contract.models import EngineArgs
from llmpipeline_serve.contract.texts import CustomArgs
from llmpipeline_serve.errors import invalid
from llmpipeline_serve.front import Answer, Front
from llmpipeline_serve.graph import nodes
from llmpipeline_serve.graph.chat_door import ChatDoor, is_for_chat
from llmpipeline_serve.graph.metrics import NodeMetrics
from llmpipeline_serve.graph.run import CompiledGraph
from llmpipeline_serve.graph.stream import Asking
from llmpipeline_serve.pieces import only
from llmpipeline_serve.responses import translated

_WHOLE: Final = invalid(
    "stream: this graph's answer is more than the text of its last generate node, so that it comes as a whole; leave "
    "stream out",
    "stream",
)


class AnyObject(BaseModel):
    """The body of a request: any JSON object. Templates say what must be in it."""

    model_config = ConfigDict(extra="allow", frozen=True)


@serve.deployment
class Graph:
    """Takes the requests and asks the nodes: one call for each, and none between the nodes themselves."""

    def __init__(self, args: GraphArgs, handles: dict[str, DeploymentHandle]) -> None:
        self._handles = handles
        self._services = frozenset(node.name for node in args.nodes if node.http)
        self._metrics = NodeMetrics()
        self._take(GraphSettings())

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take other settings for the requests from now on; those in flight keep the old."""
        self._take(GraphSettings.model_validate(user_config))

    def _take(self, settings: GraphSettings) -> None:
        graph = CompiledGraph(settings.for_nodes(self._handles), self._metrics)
        chat = settings.chat and ChatDoor(settings.chat, settings.limits, graph)
        self._current = Front(settings.limits), graph, chat

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        front, graph, chat = self._current
        asking = Asking(
            partial(self._ask, tracing.identity(request.headers) if self._services else []), self._stream, self._metrics
        )
        if chat and is_for_chat(request):
            return await chat.answer(request, asking)
        return await front.answer(request, AnyObject, partial(_run, graph, asking))

    async def _ask(self, identity: list[tracing.Pair], node: str, given: Any) -> dict[str, Any]:
        more = (identity,) if node in self._services else ()
        response = self._handles[node].remote(given, *more)
        try:
            result: dict[str, Any] = await response
        except asyncio.CancelledError:
            # Another node failed, the time is over or the client has gone: nobody waits for this one any more.
            response.cancel()
            raise
        except (RayError, RayServeException) as error:
            raise translated(error) from error
        return result

    async def _stream(self, node: str, given: Any) -> AsyncIterator[dict[str, Any]]:
        response = self._handles[node].options(stream=True, method_name="stream").remote(given)
        ended = False
        try:
            async for piece in response:
                yield piece
            ended = True
        except (RayError, RayServeException) as error:
            ended = True
            raise translated(error) from error
        finally:
            if not ended:
                # The time is over or the client has gone: the engine is to stop.
                response.cancel()


async def _run(graph: CompiledGraph, asking: Asking, body: AnyObject) -> Answer:
    request = body.model_extra or {}
    if request.get("stream") is not True:
        return await graph.run(request, asking.ask)
    if graph.node is None:
        raise _WHOLE
    values, pieces = await asking.streamed(graph, graph.node, request)
    return only({"text": None, **values[graph.node]}) if pieces is None else pieces


def build(args: GraphArgs) -> Application:
    """Build the app. Serve parses `args` by this function's annotation, so a wrong key fails by name."""
    handles = {node.name: _bound(node) for node in args.nodes}
    return Graph.bind(args, handles)  # type: ignore[attr-defined]  # Ray types the decorator as identity


def _bound(node: NodeArgs) -> Any:
    if isinstance(node.work, HttpArgs):
        return nodes.Http.options(name=node.name).bind()  # type: ignore[attr-defined]
    deployments: dict[type[AppArgs], Any] = {
        PreprocessArgs: nodes.Preprocess,
        EngineArgs: nodes.GenerateNode,
        CustomArgs: nodes.Custom,
    }
    deployment = deployments.get(type(node.work), nodes.TextModel)
    return deployment.options(name=node.name).bind(node.work)
