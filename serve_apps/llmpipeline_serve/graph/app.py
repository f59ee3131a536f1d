"""The deployment that takes the requests, and the whole app.

A Serve config names it as `import_path: llmpipeline_serve.graph.app:build`.
"""

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import Response

from llmpipeline_serve.front import Answer, Front, translated
from llmpipeline_serve.graph import nodes
from llmpipeline_serve.graph.args import GraphArgs, NodeArgs
from llmpipeline_serve.graph.run import Compilation


class AnyObject(BaseModel):
    """The body of a request: any JSON object. Templates say what must be in it."""

    model_config = ConfigDict(extra="allow", frozen=True)


@serve.deployment
class Graph:
    """Takes the requests and asks the nodes: one call for each, and none between the nodes themselves."""

    def __init__(self, args: GraphArgs, handles: dict[str, DeploymentHandle]) -> None:
        self._front = Front(args.limits)
        self._graph = Compilation(args)
        self._handles = handles

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        return await self._front.answer(request, AnyObject, self._run)

    async def _run(self, body: AnyObject) -> Answer:
        return await self._graph.run(body.model_extra or {}, self._ask)

    async def _ask(self, node: str, given: Any) -> dict[str, Any]:
        response = self._handles[node].remote(given)
        try:
            result: dict[str, Any] = await response
        except asyncio.CancelledError:
            # Another node failed, the time is over or the client has gone: nobody waits for this one any more.
            response.cancel()
            raise
        except (RayError, RayServeException) as error:
            raise translated(error) from error
        return result


def build(args: GraphArgs) -> Application:
    """Build the app. Serve parses `args` by this function's annotation, so a wrong key fails by name."""
    handles = {node.name: _bound(node) for node in args.nodes}
    return Graph.bind(args, handles)  # type: ignore[attr-defined]  # Ray types the decorator as identity


def _bound(node: NodeArgs) -> Any:
    deployments: dict[str, tuple[Any, Any]] = {
        "preprocess": (nodes.Preprocess, node.preprocess),
        "generate": (nodes.GenerateNode, node.generate),
        "http": (nodes.Http, node.http),
        "custom": (nodes.Custom, node.custom),
    }
    deployment, args = deployments.get(node.kind, (nodes.TextModel, node))
    return deployment.options(name=node.name).bind(args)
