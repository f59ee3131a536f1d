"""Parts of objects that others write: each may be anything, so what has another type counts as missing."""

from typing import Any

from llmpipeline.names import Manifest


def dict_of(value: Any) -> Manifest:
    """A mapping; empty if it is none."""
    return value if isinstance(value, dict) else {}


def dicts_of(value: Any) -> list[Manifest]:
    """The mappings of a list; none if it is no list."""
    return [it for it in value if isinstance(it, dict)] if isinstance(value, list) else []
