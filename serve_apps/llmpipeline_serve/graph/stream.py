"""The result of a graph's last node in pieces, as they come. Knows nothing of Ray: how a node is asked is given."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmpipeline_serve import tracing
from llmpipeline_serve.errors import ApiError
from llmpipeline_serve.graph.run import (
    OUTCOME,
    Ask,
    CompiledGraph,
    Fallback,
    Noted,
    Skipped,
    SkippedNodeError,
    Step,
    failed,
    outcome_of,
    result_of,
)
from llmpipeline_serve.pieces import closed, only
from llmpipeline_serve.templates import Result

# Asks a node whose answer comes in pieces; each is an object with a text, and the last has more fields.
AskForPieces = Callable[[str, Any], AsyncIterator[dict[str, Any]]]
Pieces = AsyncIterator[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Asking:
    """How one request asks nodes: for whole answers, or for pieces; and what hears of the nodes."""

    ask: Ask
    stream: AskForPieces
    noted: Noted = lambda *_: None

    async def streamed(
        self, graph: CompiledGraph, last: str, request: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Pieces | None]:
        """The results of all nodes but the last, and the pieces of that: see `StreamedGraph.run`."""
        return await StreamedGraph(graph, last, self.noted).run(request, self.ask, self.stream)


class StreamedGraph:
    """A graph whose answer is the text of one node, which is asked when all others are done."""

    def __init__(self, graph: CompiledGraph, last: str, noted: Noted = lambda *_: None) -> None:
        """Take the graph, the name of that node, and what hears of it."""
        self._graph = graph
        self._last = graph.step(last)
        self._noted = noted

    async def run(
        self, request: Mapping[str, Any], ask: Ask, stream: AskForPieces
    ) -> tuple[dict[str, Any], Pieces | None]:
        """Return the results of the other nodes, and the pieces of the last. The first piece is there already.

        So what fails before it is raised here, where the answer can still have a status of its own. If the last node
        was skipped, or its fallback holds, that is among the results and there are no pieces.

        Raises:
            ApiError: A node failed, and has no fallback.
        """
        values = await self._graph.values(request, ask, without=self._last.name)
        call = _Call(self._last, stream)
        outcome = "cancelled"
        try:
            # Only until the first piece: the rest may be read in another task, and a span runs in one.
            with tracing.span("node", self._last.name):
                first = await self._first(call, values)
                outcome = outcome_of(first)
                tracing.mark(OUTCOME, outcome)
        except BaseException as error:
            await call.close()
            self._noted(self._last.name, _outcome_of_failure(error), call.seconds)
            raise
        if isinstance(first, Fallback | Skipped):
            await call.close()
            self._noted(self._last.name, outcome, call.seconds)
            return {**values, self._last.name: first}, None
        return values, self._rest(call, first)

    async def _first(self, call: "_Call", values: Mapping[str, Any]) -> Result:
        try:
            return await result_of(self._last, values, call.first)
        except SkippedNodeError:
            return Skipped()

    async def _rest(self, call: "_Call", first: dict[str, Any]) -> Pieces:
        outcome = "cancelled"
        try:
            yield first
            async with asyncio.timeout_at(call.deadline):
                async for piece in call.pieces:
                    yield piece
            outcome = "ok"
        except Exception as error:
            outcome = _outcome_of_failure(error)
            raise failed(self._last, error) from error
        finally:
            await call.close()
            self._noted(self._last.name, outcome, call.seconds)


class _Call:
    """One call of a node whose answer comes in pieces."""

    def __init__(self, step: Step, stream: AskForPieces) -> None:
        self._stream = stream
        self._began = time.perf_counter()
        seconds = step.timeout_seconds
        self.deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        self.pieces: Pieces = only({})

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._began

    async def first(self, node: str, given: Any) -> dict[str, Any]:
        """The first piece."""
        self.pieces = self._stream(node, given)
        return await anext(self.pieces)

    async def close(self) -> None:
        """End it, so that nobody works for an answer that is not wanted."""
        await closed(self.pieces)


def _outcome_of_failure(error: BaseException) -> str:
    if isinstance(error, ApiError) and error.kind == "invalid_request":
        return "invalid"
    return "error" if isinstance(error, Exception) else "cancelled"
