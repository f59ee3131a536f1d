"""Answers in pieces: iterators of the pieces, and their end."""

from collections.abc import AsyncIterator, Mapping
from typing import Any


async def only(piece: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """One object as a stream."""
    yield dict(piece)


async def closed(pieces: AsyncIterator[Any]) -> None:
    """End an iterator that nobody reads any further, now and not at some time: it may hold a slot of an engine."""
    if close := getattr(pieces, "aclose", None):
        await close()
