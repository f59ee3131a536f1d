"""A user's own code, for the apps' tests: importable by the replicas, since the runner puts its folder on the path."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

_SIZES: list[int] = []


def double(items: Sequence[Any]) -> list[Any]:
    """A batch function: each number doubled. A negative one fails alone; "boom" fails the whole batch."""
    _SIZES.append(len(items))
    time.sleep(0.05)
    if "boom" in items:
        raise RuntimeError("boom")
    if "sizes" in items:
        return [max(_SIZES) for _ in items]
    return [ValueError("negative") if item < 0 else 2 * item for item in items]


async def sleep(given: dict[str, Any]) -> dict[str, Any]:
    """A node: sleeps as long as the request says, and says when it began and ended."""
    began = time.monotonic()
    await asyncio.sleep(given["request"].get("seconds", 0))
    return {"began": began, "ended": time.monotonic()}


def fail(given: dict[str, Any]) -> dict[str, Any]:
    """A node: fails where the request says so."""
    if given["request"].get("fail"):
        raise RuntimeError("a secret that the client must not see")
    return {"fine": True}


def echo(given: Any) -> Any:
    """A node: returns what it is given."""
    return given


def hang(items: Sequence[Any]) -> list[Any]:
    """A batch function that does not come back from a batch with "hang" in it."""
    while "hang" in items:
        time.sleep(1)
    return list(items)


def nap(given: dict[str, Any]) -> dict[str, Any]:
    """A node that blocks its thread for as long as the request says, and says when it began and ended."""
    began = time.monotonic()
    time.sleep(given["request"].get("seconds", 0))
    return {"began": began, "ended": time.monotonic()}


def greet(name: str, *, greeting: str, mark: str = ".") -> str:
    """A node with arguments of its own."""
    return f"{greeting} {name}{mark}"


def no_json(_: Any) -> Any:
    """A node whose result is no JSON."""
    return {"scores": {1, 2}}
