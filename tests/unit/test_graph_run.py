"""The way of one request through a graph, with nodes that are plain functions; on real Ray: tests/apps."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llmpipeline_serve.contract.graph import GraphSettings
from llmpipeline_serve.errors import ApiError, overloaded
from llmpipeline_serve.graph.run import CompiledGraph

Node = dict[str, Any]


def node(name: str, *after: str, **fields: Any) -> Node:
    return {"name": name, "after": after, "input": "request.text", **fields}


def run(nodes: list[Node], work: dict[str, Callable[[Any], Any]], output: Any = None, **request: Any) -> dict[str, Any]:
    """Run a graph whose nodes do this work; a node that is not told of returns what it is given as its text."""

    async def ask(name: str, given: Any) -> dict[str, Any]:
        result = work.get(name, lambda text: {"text": text})(given)
        done: dict[str, Any] = await result if asyncio.iscoroutine(result) else result
        return done

    graph = CompiledGraph(GraphSettings.model_validate({"nodes": nodes, "output": output}))
    return asyncio.run(graph.run({"text": "hi", **request}, ask))


def fails(error: Exception) -> Callable[[Any], Any]:
    def raise_it(_: Any) -> Any:
        raise error

    return raise_it


def test_a_chain_hands_results_on() -> None:
    chain = [node("b", "a", input="a.text ~ '!'"), node("a", input="request.text|upper")]
    assert run(chain, {}) == {"b": {"text": "HI!"}}


def test_the_default_answer_is_what_nothing_comes_after() -> None:
    assert run([node("a"), node("b", "a"), node("c", "a")], {}).keys() == {"b", "c"}


def test_independent_nodes_run_at_once() -> None:
    met = asyncio.Barrier(2)

    async def meet(_: Any) -> dict[str, Any]:
        await asyncio.wait_for(met.wait(), 5)
        return {}

    run([node("a"), node("b"), node("c", "a", "b")], {"a": meet, "b": meet})


def test_a_skipped_node_and_what_depends_on_it() -> None:
    nodes = [
        node("a", when="request.text == 'other'"),
        node("needs", "a", input="a.text"),
        node("asks", "a", input="'none' if a.skipped else a.text"),
        node("neither", "needs", input="{'skipped': needs.skipped}"),
    ]
    output = {"a": "a", "part": "a.text", "needs": "needs.text", "asks": "asks.text", "neither": "neither.text"}
    assert run(nodes, {}, output) == {
        "a": None, "part": None, "needs": None, "asks": "none", "neither": {"skipped": True},
    }  # fmt: skip


def test_the_output_is_shaped() -> None:
    output = {"n": "a.text|length", "whole": "a", "list": ["request.text", 3], "fixed": 1.5, "deep": {"x": "a.text"}}
    assert run([node("a")], {}, output) == {
        "n": 2, "whole": {"text": "hi"}, "list": ["hi", 3], "fixed": 1.5, "deep": {"x": "hi"},
    }  # fmt: skip


def test_a_failure_names_the_node_and_ends_the_others() -> None:
    cancelled = []

    async def wait(_: Any) -> dict[str, Any]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append("b")
            raise
        return {}

    async def fail(_: Any) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        raise ValueError("a secret")

    with pytest.raises(ApiError) as failed:
        run([node("a"), node("b"), node("c", "a", "b")], {"a": fail, "b": wait})
    assert (failed.value.status, failed.value.kind, failed.value.field) == (502, "upstream_failed", "nodes.a")
    assert "ValueError" in failed.value.message
    assert "secret" not in failed.value.message
    assert cancelled == ["b"]


def test_a_node_that_takes_too_long() -> None:
    with pytest.raises(ApiError) as failed:
        run([node("slow", timeout_seconds=0.01)], {"slow": lambda _: asyncio.sleep(60)})
    assert (failed.value.status, failed.value.field) == (504, "nodes.slow")
    assert "0.01 seconds" in failed.value.message


def test_a_full_queue_keeps_its_code_and_header() -> None:
    with pytest.raises(ApiError) as failed:
        run([node("a")], {"a": fails(overloaded("the queue is full"))})
    assert (failed.value.status, failed.value.headers) == (503, {"Retry-After": "1"})


@pytest.mark.parametrize("work", [fails(ValueError()), lambda _: asyncio.sleep(60)], ids=["fails", "takes too long"])
def test_a_fallback_takes_the_place_of_a_result(work: Callable[[Any], Any]) -> None:
    nodes = [node("a", fallback={"text": "fallen back"}, timeout_seconds=0.01)]
    assert run(nodes, {"a": work}) == {"a": {"text": "fallen back"}}


def test_what_the_request_lacks_is_the_clients_mistake() -> None:
    with pytest.raises(ApiError) as failed:
        run([node("a", input="request.question", fallback={"text": "not for this"})], {})
    assert (failed.value.status, failed.value.field) == (400, "question")


def test_a_template_that_fails_names_its_node() -> None:
    with pytest.raises(ApiError) as failed:
        run([node("a", input="request.text + 1")], {})
    assert (failed.value.status, failed.value.field) == (500, "nodes.a")
    with pytest.raises(ApiError) as failed:
        run([node("a")], {}, {"x": "a.nothing"})
    assert (failed.value.status, failed.value.field) == (500, "output")
