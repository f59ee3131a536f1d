"""A graph whose last node answers in pieces, with nodes that are plain functions; on real Ray: tests/apps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from llmpipeline_serve.contract.graph import GraphSettings
from llmpipeline_serve.errors import ApiError, invalid, overloaded
from llmpipeline_serve.graph.run import CompiledGraph
from llmpipeline_serve.graph.stream import Asking

END = {"text": "!", "finish_reason": "stop", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
CLEAN = {"name": "clean", "input": "request.text"}


def last(**fields: Any) -> dict[str, Any]:
    return {"name": "reply", "after": ["clean"], "prompt": "{{ clean.text }}", **fields}


class Streaming:
    """A graph of two nodes, and what became of them."""

    def __init__(self, *pieces: Any, clean: Callable[[], Any] = lambda: {"text": "hi"}, **fields: Any) -> None:
        self.noted: list[tuple[str, str]] = []
        self.asked: list[Any] = []
        self.ended = 0
        self._pieces = pieces
        self._clean = clean
        nodes = [CLEAN, last(**fields)]
        self.graph = CompiledGraph(GraphSettings.model_validate({"nodes": nodes}), self._note)
        self._asking = Asking(self._ask, self._stream, self._note)

    async def run(self) -> tuple[dict[str, Any], AsyncIterator[dict[str, Any]] | None]:
        return await self._asking.streamed(self.graph, "reply", {"text": "hi"})

    async def all(self) -> list[dict[str, Any]]:
        _, pieces = await self.run()
        assert pieces is not None
        return [piece async for piece in pieces]

    def _note(self, node: str, outcome: str, _: float) -> None:
        self.noted.append((node, outcome))

    async def _ask(self, node: str, given: Any) -> dict[str, Any]:
        assert node == "clean"
        result: dict[str, Any] = self._clean()
        return result

    async def _stream(self, node: str, given: Any) -> AsyncIterator[dict[str, Any]]:
        self.asked.append((node, given))
        try:
            for piece in self._pieces:
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    yield piece
        finally:
            self.ended += 1


async def test_the_last_node_is_asked_after_the_others_and_gives_pieces() -> None:
    streaming = Streaming({"text": "Ha"}, END)
    assert await streaming.all() == [{"text": "Ha"}, END]
    assert streaming.asked == [("reply", "hi")]
    assert streaming.noted == [("clean", "ok"), ("reply", "ok")]
    assert streaming.ended == 1


@pytest.mark.parametrize(
    ("failure", "status", "field", "outcome"),
    [
        (overloaded("the queue is full"), 503, "nodes.reply", "error"),
        (ValueError("a secret"), 502, "nodes.reply", "error"),
        (invalid("prompt: is too long", "prompt"), 400, "prompt", "invalid"),
    ],
)
async def test_a_failure_before_the_first_piece(failure: Exception, status: int, field: str, outcome: str) -> None:
    streaming = Streaming(failure)
    with pytest.raises(ApiError) as failed:
        await streaming.run()
    assert (failed.value.status, failed.value.field) == (status, field)
    assert "secret" not in failed.value.message
    assert streaming.noted[-1] == ("reply", outcome)


async def test_a_failure_after_the_first_piece() -> None:
    streaming = Streaming({"text": "Ha"}, overloaded("the engine has died"))
    _, pieces = await streaming.run()
    assert pieces is not None
    assert await anext(pieces) == {"text": "Ha"}
    with pytest.raises(ApiError, match="node reply: the engine has died"):
        await anext(pieces)
    assert streaming.noted[-1] == ("reply", "error")


async def test_a_node_before_it_fails() -> None:
    def fail() -> None:
        raise ValueError

    streaming = Streaming(END, clean=fail)
    with pytest.raises(ApiError) as failed:
        await streaming.run()
    assert failed.value.field == "nodes.clean"
    assert streaming.asked == []


@pytest.mark.parametrize("pieces", [(60.0, END), ({"text": "Ha"}, 60.0, END)], ids=["first", "later"])
async def test_the_nodes_time_is_for_the_whole_stream(pieces: Any) -> None:
    streaming = Streaming(*pieces, timeout_seconds=0.05)
    with pytest.raises(ApiError) as failed:
        await streaming.all()
    assert (failed.value.status, failed.value.field) == (504, "nodes.reply")
    assert streaming.ended == 1
    assert streaming.noted[-1] == ("reply", "error")


async def test_a_client_that_goes_away_ends_the_call() -> None:
    streaming = Streaming({"text": "Ha"}, 60.0, END)
    _, pieces = await streaming.run()
    assert pieces is not None
    await anext(pieces)
    reading = asyncio.create_task(anext(pieces))  # type: ignore[arg-type]  # a coroutine, as it is made
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert streaming.ended == 1
    assert streaming.noted[-1] == ("reply", "cancelled")


async def test_a_client_that_goes_away_before_the_first_piece() -> None:
    streaming = Streaming(60.0, END)
    waiting = asyncio.create_task(streaming.run())
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (streaming.ended, streaming.noted[-1]) == (1, ("reply", "cancelled"))


async def test_a_stream_that_is_closed_between_pieces_ends_the_call() -> None:
    streaming = Streaming({"text": "Ha"}, END)
    _, pieces = await streaming.run()
    assert pieces is not None
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    assert (streaming.ended, streaming.noted[-1]) == (1, ("reply", "cancelled"))


async def test_a_fallback_and_a_skipped_node_are_no_pieces() -> None:
    streaming = Streaming(ValueError(), fallback={"text": "later"})
    values, pieces = await streaming.run()
    assert (values["reply"], pieces, streaming.noted[-1]) == ({"text": "later"}, None, ("reply", "fallback"))
    streaming = Streaming(END, when="clean.text == 'other'")
    values, pieces = await streaming.run()
    assert (values["reply"].skipped, pieces, streaming.noted[-1]) == (True, None, ("reply", "skipped"))
    assert streaming.asked == []


@pytest.mark.parametrize(
    ("nodes", "output", "node"),
    [
        ([CLEAN, last()], None, "reply"),
        ([CLEAN, last()], {"answer": " reply . text "}, "reply"),
        ([CLEAN, last()], {"answer": "reply.text", "sources": "clean"}, None),
        ([CLEAN, last()], {"answer": "reply.text|trim"}, None),
        ([CLEAN, last()], {"answer": "clean.text"}, None),
        ([CLEAN, last()], {"answer": ["reply.text"]}, None),
        ([CLEAN, last()], {}, None),
        ([CLEAN, last(), {"name": "after_it", "after": ["reply"], "input": "reply.text"}], None, None),
        ([CLEAN, last(), {"name": "after_it", "after": ["reply"]}], {"answer": "reply.text"}, None),
        ([CLEAN, last(), {"name": "another"}], None, None),
        ([CLEAN], None, None),
    ],
)
def test_what_can_be_streamed(nodes: Any, output: Any, node: str | None) -> None:
    assert CompiledGraph(GraphSettings.model_validate({"nodes": nodes, "output": output})).node == node
