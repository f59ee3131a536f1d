"""What pydantic found wrong with a document, in the user's words."""

import json
import re
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llmpipeline.api.base import Model
from llmpipeline.api.remedies import as_object, instead_of, nearest, written_like
from llmpipeline.problems import Path, Problem

# A longer pattern is no help to a reader, if there is an example.
_READABLE: Final = 60
_WRONG_TYPE: Final = {
    "model_type": "an object with fields",
    "model_attributes_type": "an object with fields",
    "dict_type": "an object with fields",
    "tuple_type": "a list",
    "string_type": "a string (put it in quotes)",
    "int_type": "an integer",
    "bool_type": "a boolean, true or false",
}


def explained(error: ValidationError, document: Any, root: type[Model]) -> list[Problem]:
    """One problem for each mistake.

    Args:
        error: What pydantic raised.
        document: What it was given.
        root: The model that it was read into.
    """
    details = error.errors(include_url=False, include_context=True)
    problems: dict[Path, Problem] = {}
    for detail in details:
        # A list whose items are wrong is counted as too short as well: that is no second mistake.
        if detail["type"] == "too_short" and detail.get("input"):
            continue
        problem = _explained(detail, document, root)
        # What may be an integer or a string has two errors if it is neither.
        problems.setdefault(problem.path, problem)
    return list(problems.values())


def shown(value: Any) -> str:
    """A value as the user wrote it, or its beginning."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _explained(detail: ErrorDetails, document: Any, root: type[Model]) -> Problem:
    path = _path(detail["loc"], document)
    kind, given = detail["type"], detail.get("input")
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(path, "unknown field", instead_of(path, root))
    if kind == "json_invalid":
        return Problem((), f"not a resource that JSON can express: {detail['msg'].removeprefix('Invalid JSON: ')}")
    if kind == "missing":
        return Problem(path, "is required")
    if kind == "too_short":
        return Problem(path, "is empty", "give at least one item")
    if kind == "too_long":
        most, have = context["max_length"], len(given) if isinstance(given, list | dict) else "more"
        return Problem(path, f"may have at most {most} items, not {have}")
    if len(path) < len(detail["loc"]):
        return Problem(path, f"must be an integer or a string, not {shown(given)}", _quantity(given))
    if kind in _WRONG_TYPE:
        return Problem(path, f"must be {_WRONG_TYPE[kind]}, not {shown(given)}", as_object(path, given))
    if kind == "string_pattern_mismatch":
        remedy, pattern = written_like(path, str(given)), str(context.get("pattern"))
        form = "the form of this field" if remedy and len(pattern) > _READABLE else pattern
        return Problem(path, f"{shown(given)} does not match {form}", remedy)
    remedy = (
        nearest(str(given), re.findall("'([^']*)'", str(context.get("expected")))) if kind == "literal_error" else ""
    )
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "must").replace("Tuple", "list")
    return Problem(path, f"{message[0].lower()}{message[1:]}, not {shown(given)}", remedy)


def _quantity(given: Any) -> str:
    """How to write a fraction, which YAML has as a number and Kubernetes as a string."""
    return f"write {given * 1000:.0f}m" if isinstance(given, float) and given > 0 else ""


def _path(location: Path, document: Any) -> Path:
    """The location without the types that pydantic adds to that of a union, which may also be names of fields."""
    path: Path = ()
    for part in location:
        if part in ("int", "str") and not (isinstance(document, dict) and part in document):
            continue
        path = (*path, part)
        if isinstance(document, dict | list):
            document = document.get(part) if isinstance(document, dict) else document[int(part)]
    return path
