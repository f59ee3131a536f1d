"""The examples on the pages of the apps: a request, and the shape of its answer."""

import re
from typing import Any

from support.repository import DOCS

PAGES = DOCS / "apps"
_FENCE = re.compile(r'```json title="(GET|POST) (\S+)"\n(.*?)```\s+```json title="answer"\n(.*?)```', re.DOTALL)

Example = tuple[str, str, str, str]
"""Method, path, the request's JSON or nothing, and the answer's."""


def examples(page: str) -> list[Example]:
    return _FENCE.findall((PAGES / f"{page}.md").read_text())


def shape(value: Any) -> Any:
    """The fields and types of a JSON value, of a list those of its first item."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__
