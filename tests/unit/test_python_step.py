"""The user's own function as a step of a graph; on real Ray: tests/apps/test_graph_steps.py."""

import asyncio
import re
import sys
import threading
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from llmpipeline_serve.contract.graph import CustomSettings
from llmpipeline_serve.errors import ApiError
from llmpipeline_serve.graph.step import PythonStep
from support.repository import DOCS

PAGE = DOCS / "how-to" / "python-step.md"
Made = Callable[..., PythonStep]


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Makes a step of a function, with these arguments."""

    def make(function: Any, threads: int = 4, **args: Any) -> PythonStep:
        module = types.ModuleType("my_steps")
        module.__dict__["it"] = function
        monkeypatch.setitem(sys.modules, "my_steps", module)
        made = PythonStep("my_steps:it")
        made.configure(CustomSettings(args=args, threads=threads))
        return made

    return make


def test_the_documented_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r'```python title="my_steps.py"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    module = types.ModuleType("my_steps")
    exec("\n".join(blocks), module.__dict__)
    monkeypatch.setitem(sys.modules, "my_steps", module)
    find, shorten = PythonStep("my_steps:find"), PythonStep("my_steps:Shorten")
    find.configure(CustomSettings(args={"limit": 1}))
    assert call(find, "how long does a refund take") == {"passages": ["A refund takes five days."]}
    with pytest.raises(ApiError, match="must be a string"):
        call(find, None)
    with pytest.raises(TypeError) as failed:
        find.configure(CustomSettings(args={"limits": 1}))
    assert str(failed.value) in PAGE.read_text()
    shorten.configure(CustomSettings(args={"characters": 3}))
    assert call(shorten, {"request": {"question": "Why?"}}) == {"output": "Why ..."}


def call(made: PythonStep, given: Any = "in") -> dict[str, Any]:
    return asyncio.run(made(given))


class Search:
    """A class whose instances are functions, one way each."""

    def __init__(self) -> None:
        self.made_in = threading.current_thread()

    def __call__(self, given: str, *, limit: int = 3) -> dict[str, Any]:
        return {"found": [given] * limit}


class AsyncSearch:
    async def __call__(self, given: str, limit: int) -> list[str]:
        await asyncio.sleep(0)
        return [given] * limit


async def _async(given: str, limit: int = 1) -> dict[str, Any]:
    return {"text": given * limit}


def test_args_are_keyword_arguments(step: Made) -> None:
    assert call(step(Search, limit=2)) == {"found": ["in", "in"]}
    assert call(step(AsyncSearch, limit=2)) == {"output": ["in", "in"]}
    assert call(step(_async, limit=2)) == {"text": "inin"}
    assert call(step(lambda given, **more: more, **{"top-k": 1})) == {"top-k": 1}
    assert call(step(len)) == {"output": 2}


def test_other_arguments_hold_from_the_next_call_on(step: Made) -> None:
    went = threading.Event()

    def wait(_: Any, limit: int) -> int:
        went.wait(5)
        return limit

    async def change() -> tuple[Any, Any]:
        made = step(wait, limit=1)
        first = asyncio.create_task(made("in"))
        await asyncio.sleep(0.05)
        made.configure(CustomSettings(args={"limit": 2}, threads=8))
        went.set()
        return await first, await made("in")

    assert asyncio.run(change()) == ({"output": 1}, {"output": 2})


def test_a_function_that_is_not_async_leaves_the_event_loop_free(step: Made) -> None:
    """The functions wait for what only the event loop does."""
    running, most, lock, gate = 0, 0, threading.Lock(), threading.Event()

    def wait(_: Any) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        went = gate.wait(30)
        with lock:
            running -= 1
        return went

    async def together() -> list[Any]:
        made = step(wait, threads=3)
        calls = asyncio.gather(*(made(None) for _ in range(6)))
        while most < 3 and not calls.done():
            await asyncio.sleep(0.01)
        gate.set()
        return await calls

    assert asyncio.run(together()) == [{"output": True}] * 6
    assert most == 3


def test_a_call_that_still_waits_for_a_thread_is_never_made(step: Made) -> None:
    made_calls: list[Any] = []
    gate = threading.Event()

    def note(given: Any) -> None:
        made_calls.append(given)
        gate.wait(30)

    async def cancel() -> None:
        made = step(note, threads=1)
        first, second = asyncio.create_task(made("first")), asyncio.create_task(made("second"))
        async with asyncio.timeout(10):
            while not made_calls:
                await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.wait({second})
        gate.set()
        await first
        await made("third")

    asyncio.run(cancel())
    assert made_calls == ["first", "third"]


def _no_input() -> None:
    pass


def _yields(_: Any) -> Iterator[int]:
    yield 1


async def _yields_too(_: Any) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "args", "says"),
    [
        (_async, {"limits": 1}, "my_steps:it has no argument limits, which custom.args gives; it takes limit"),
        (lambda given: given, {"limit": 1}, "has no argument limit, which custom.args gives; it takes none"),
        (lambda given: given, {"given": 1}, "custom.args may not have given, which is the node's input"),
        (AsyncSearch, {}, "needs the argument limit: give it in custom.args"),
        (lambda given, *, limit: given, {}, "needs the argument limit"),
        (_no_input, {}, "must take one positional argument, the node's input"),
        (lambda *, given: given, {}, "must take one positional argument"),
        (_yields, {}, "yields; a step of a graph must return one result"),
        (_yields_too, {}, "yields"),
    ],
)
def test_a_wrong_signature_fails_at_the_start(step: Made, function: Any, args: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError) as failed:
        step(function, **args)
    assert str(failed.value).startswith("my_steps:it")
    assert says in str(failed.value)


@pytest.mark.parametrize(
    "result", [object(), {"a": {1, 2}}, float("nan"), {"a": b"x"}], ids=["object", "set", "nan", "bytes"]
)
def test_a_result_that_is_no_json_names_the_function(step: Made, result: Any) -> None:
    with pytest.raises(TypeError, match="my_steps:it returned something that JSON does not have"):
        call(step(lambda given: result))


@pytest.mark.parametrize("raised", [StopIteration(3), SystemExit(1)], ids=repr)
def test_what_would_hang_the_request_or_end_the_replica(step: Made, raised: BaseException) -> None:
    def fail(_: Any) -> None:
        raise raised

    with pytest.raises(RuntimeError, match=type(raised).__name__):
        asyncio.run(asyncio.wait_for(step(fail)(None), 5))
