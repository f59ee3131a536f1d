"""From a document to an `LLMPipeline`, or to all that is wrong with it."""

import difflib
import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from llmpipeline.api.base import Model, Part, parts
from llmpipeline.api.free_form import excess_of
from llmpipeline.api.other_names import HINTS
from llmpipeline.api.pipeline import LLMPipeline, Metadata
from llmpipeline.names import without_none
from llmpipeline.problems import Path, Problem

_WRONG_TYPE = {
    "model_type": "an object with fields",
    "model_attributes_type": "an object with fields",
    "dict_type": "an object with fields",
    "tuple_type": "a list",
    "string_type": "a string (put it in quotes)",
    "int_type": "an integer",
    "bool_type": "a boolean, true or false",
}


def parse(document: dict[str, Any]) -> LLMPipeline | list[Problem]:
    """Parses one document, as read from a file or from the API server.

    Args:
        document: The whole object; its status and unknown metadata are not looked at.

    Returns:
        The pipeline, or every problem found: of structure, or, where that is sound, of the rules between fields.
    """
    parts = {key: value for key, value in document.items() if key != "status"}
    try:
        # By way of JSON: lists become tuples and nothing else is converted.
        pipeline = LLMPipeline.model_validate_json(json.dumps(parts, allow_nan=False))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        # A list whose items are wrong is counted as too short as well: that is no second mistake.
        real = [detail for detail in details if not (detail["type"] == "too_short" and detail.get("input"))]
        return [_explained(detail, parts) for detail in real]
    except (TypeError, ValueError, RecursionError) as error:
        return [Problem((), f"not a resource that JSON can express: {error}")]
    return list(_broken_rules(pipeline)) or pipeline


def metadata_of(document: dict[str, Any]) -> Metadata:
    """The metadata of a document that may be no pipeline: what is not there, or of a wrong type, is left out."""
    given = document.get("metadata")
    known = without_none(given) if isinstance(given, dict) else {}
    try:
        return Metadata.model_validate({"name": "", **known})
    except ValidationError:
        return Metadata(name="")


def _explained(detail: ErrorDetails, document: Any) -> Problem:
    """One of pydantic's errors in the user's words."""
    path = _path(detail["loc"], document)
    kind, given = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        if hint := HINTS.get(str(path[-1])):
            return Problem(path, "unknown field", hint)
        known = _fields_at(path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}" if known else ""
        return Problem(path, "unknown field", remedy)
    if kind == "json_invalid":
        return Problem((), f"not a resource that JSON can express: {detail['msg'].removeprefix('Invalid JSON: ')}")
    if kind == "missing":
        return Problem(path, "is required")
    if kind in _WRONG_TYPE:
        return Problem(path, f"must be {_WRONG_TYPE[kind]}, not {_shown(given)}")
    if kind == "string_pattern_mismatch":
        return Problem(path, f"{_shown(given)} does not match {detail.get('ctx', {}).get('pattern')}")
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "must").replace("Tuple", "list")
    return Problem(path, f"{message[0].lower()}{message[1:]}, not {_shown(given)}")


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


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields_at(path: Path) -> list[str]:
    """The names that the model at this path takes."""
    model: type[BaseModel] | None = LLMPipeline
    for part in path:
        if isinstance(part, int):
            continue
        field = next((f for f in model.model_fields.values() if f.alias == part), None) if model else None
        model = _model_in(field.annotation) if field else None
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in found if model), None)


def _broken_rules(pipeline: LLMPipeline) -> Iterator[Problem]:
    """The rules that do not hold, in the pipeline and in all below it."""
    for part in parts(pipeline, Model):
        for rule in part.value.rules:
            if not rule.holds(part.value):
                yield Problem((*part.at, *rule.at), rule.message)
        yield from _duplicates(part)
        yield from _excesses(part)


def _excesses(part: Part[Model]) -> Iterator[Problem]:
    """Free-form fields that are out of bounds."""
    for field_name, field in type(part.value).model_fields.items():
        extra = field.json_schema_extra
        is_free = isinstance(extra, dict) and extra.get("x-kubernetes-preserve-unknown-fields")
        if is_free and (excess := excess_of(getattr(part.value, field_name))):
            yield Problem((*part.at, field.alias or field_name), excess, "make it smaller")


def _duplicates(part: Part[Model]) -> Iterator[Problem]:
    """Items of one name in a list, which the API server tells apart by it."""
    for field_name, field in type(part.value).model_fields.items():
        items = getattr(part.value, field_name)
        seen: set[str] = set()
        for index, item in enumerate(items if isinstance(items, tuple) else ()):
            name = getattr(item, "name", None) if isinstance(item, Model) else None
            if name in seen:
                path = (*part.at, field.alias or field_name, index, "name")
                yield Problem(path, f"duplicate name {_shown(name)}; names are unique in this list")
            if name is not None:
                seen.add(name)
