"""From a document to an `LLMPipeline`, or to all that is wrong with it."""

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from llmpipeline.api.base import Model, Part, parts
from llmpipeline.api.explain import explained, shown
from llmpipeline.api.nulls import about_empty, without_nulls
from llmpipeline.api.pipeline import LLMPipeline, Metadata, Spec
from llmpipeline.api.pipeline_class import ClassSpec, LLMPipelineClass
from llmpipeline.names import without_none
from llmpipeline.problems import Path, Problem

Root = TypeVar("Root", LLMPipeline, LLMPipelineClass)


def parse(document: dict[str, Any]) -> LLMPipeline | list[Problem]:
    """Parses one document, as read from a file or from the API server.

    A spec is rejected if and only if the API server rejects it by the CRD. What a sound spec still gets wrong is
    found later (`llmpipeline.checks`).

    Args:
        document: The whole object; its status and unknown metadata are not looked at.

    Returns:
        The pipeline, or every problem found: of structure, or, where that is sound, of the rules between fields.
    """
    return _read(document, LLMPipeline, Spec)


def parse_class(document: dict[str, Any]) -> LLMPipelineClass | list[Problem]:
    """Parses one document of a class in the same way."""
    return _read(document, LLMPipelineClass, ClassSpec)


def _read(document: dict[str, Any], root: type[Root], spec: type[Model]) -> Root | list[Problem]:
    given = {key: value for key, value in document.items() if key != "status" and value is not None}
    dropped: list[Path] = [(key,) for key in document if document[key] is None]
    if isinstance(metadata := given.get("metadata"), dict):
        given["metadata"] = without_none(metadata)
    if "spec" in given:
        given["spec"] = without_nulls(given["spec"], spec, ("spec",), dropped)
    found = _parsed(given, root)
    return [about_empty(problem, dropped) for problem in found] if isinstance(found, list) else found


def _parsed(given: dict[str, Any], root: type[Root]) -> Root | list[Problem]:
    try:
        # By way of JSON: lists become tuples and nothing else is converted.
        parsed = root.model_validate_json(json.dumps(given, allow_nan=False), by_alias=True, by_name=False)
    except ValidationError as error:
        return explained(error, given, root)
    except (TypeError, ValueError, RecursionError) as error:
        return [Problem((), f"not a resource that JSON can express: {error}")]
    return list(_broken_rules(parsed)) or parsed


def metadata_of(document: dict[str, Any]) -> Metadata:
    """The metadata of a document that may be no pipeline: what is not there, or of a wrong type, is left out."""
    given = document.get("metadata")
    known = without_none(given) if isinstance(given, dict) else {}
    try:
        return Metadata.model_validate({"name": "", **known})
    except ValidationError:
        return Metadata(name="")


def _broken_rules(resource: Model) -> Iterator[Problem]:
    """The rules that do not hold, in the resource and in all below it."""
    for part in parts(resource, Model):
        for rule in part.value.rules:
            if not rule.holds(part.value):
                yield Problem((*part.at, *rule.at), rule.message)
        yield from _duplicates(part)


def _duplicates(part: Part[Model]) -> Iterator[Problem]:
    """Items of a list that have the same key, by which the API server tells them apart."""
    for field_name, field in type(part.value).model_fields.items():
        extra = field.json_schema_extra
        keys = extra.get("x-kubernetes-list-map-keys") if isinstance(extra, dict) else None
        if not isinstance(keys, list):
            continue
        (key,) = map(str, keys)
        seen: set[str] = set()
        for index, item in enumerate(getattr(part.value, field_name)):
            name = getattr(item, key)
            if name in seen:
                path = (*part.at, field.alias or field_name, index, key)
                yield Problem(path, f"duplicate {key} {shown(name)}; {key}s are unique in this list")
            seen.add(name)
