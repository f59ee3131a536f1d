"""Marks of the fields by which an author runs code of their own choice, or with other rights.

They stand on the models, and nothing lists them again: the chart's admission policy is generated from them.
"""

from typing import Any, Final

from pydantic.config import JsonDict

# The keyword in the models' JSON schema; the CRD has none of it.
KEYWORD: Final = "x-llmpipeline-run-code"


def run_code(what: str, *, unless: str = "", which: str = "") -> JsonDict:
    """The mark of a field.

    Args:
        what: How the policy's message calls it, like `podTemplate`.
        unless: When the field runs no code, in CEL of `value`; empty: never.
        which: What of it the message names, as a string in CEL of `value`; empty: nothing.
    """
    return {KEYWORD: {"what": what, "unless": unless, "which": which}}


def marked(schema: dict[str, Any]) -> dict[str, Any]:
    """The mark of a field by its schema; empty if it has none."""
    mark: dict[str, Any] = schema.get(KEYWORD, {})
    return mark
