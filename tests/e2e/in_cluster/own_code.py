"""A user's own functions, mounted into the Ray Pods of the tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any


def shout(texts: Sequence[str]) -> list[str]:
    """For a batch: all texts of it at once."""
    return [text.upper() for text in texts]


def slow(texts: Sequence[str]) -> list[str]:
    """Half a second for any batch, so that a few requests are a load."""
    time.sleep(0.5)
    return list(texts)


async def count(given: dict[str, Any]) -> dict[str, int]:
    """For a node of a graph: how many words the cleaned text has."""
    await asyncio.sleep(0)
    return {"words": len(given["clean"]["text"].split())}


def praise(given: dict[str, Any]) -> dict[str, str]:
    """For a node of a graph: a sentiment without a model."""
    return {"label": "POSITIVE" if "good" in given["request"]["text"] else "NEGATIVE"}


def streams(args: dict[str, Any]) -> Any:
    """An app that answers with a line a second, as many as the request asks for."""
    from ray import serve
    from starlette.responses import StreamingResponse

    @serve.deployment(name="Streams")
    class Streams:
        async def __call__(self, request: Any) -> StreamingResponse:
            seconds = (await request.json())["seconds"]

            async def lines() -> AsyncIterator[str]:
                for number in range(seconds):
                    yield f"{number}\n"
                    await asyncio.sleep(1)

            return StreamingResponse(lines(), media_type="text/plain")

    return Streams.bind()


def greet(args: dict[str, Any]) -> Any:
    """An app that answers with its argument, which only a restart changes; with none it cannot start."""
    from ray import serve

    @serve.deployment(name="Greet")
    class Greet:
        def __init__(self) -> None:
            if not args["message"]:
                raise ValueError("there is no message to say")

        async def __call__(self, _request: Any) -> dict[str, str]:
            return {"message": args["message"]}

    return Greet.bind()
