"""Fields without a value, as templates leave them: the API server drops them before it looks at an object."""

from dataclasses import replace
from typing import Any

from llmpipeline.api.base import Model, model_in
from llmpipeline.problems import Path, Problem


def without_nulls(value: Any, holder: type[Model], at: Path, dropped: list[Path]) -> Any:
    """A part of a document without the fields of our schema that are null; in a free-form field null is a value.

    Args:
        value: The part.
        holder: The model that it is read into, or a list of it.
        at: Where it is.
        dropped: Gets the paths of the fields that are left out.
    """
    if isinstance(value, list):
        whole = enumerate(value)
        return [without_nulls(it, holder, (*at, i), dropped) if isinstance(it, dict) else it for i, it in whole]
    if not isinstance(value, dict):
        return value
    fields = {field.alias: field for field in holder.model_fields.values()}
    kept: dict[str, Any] = {}
    for name, item in value.items():
        field = fields.get(name)
        if field is None:
            kept[name] = item
        elif item is None:
            dropped.append((*at, name))
        elif model := model_in(field.annotation):
            kept[name] = without_nulls(item, model, (*at, name), dropped)
        elif isinstance(item, dict) and _is_map(field.annotation):
            kept[name] = {key: inner for key, inner in item.items() if inner is not None}
        else:
            kept[name] = item
    return kept


def about_empty(problem: Problem, dropped: list[Path]) -> Problem:
    """The problem, with the field that is there and has no value, if that may be its cause."""
    if problem.path in dropped:
        return replace(problem, message="is empty", remedy="give it a value")
    here = [path[-1] for path in dropped if path[:-1] == problem.path]
    if not here or problem.remedy or not problem.message.startswith("give exactly one of"):
        return problem
    return replace(problem, remedy=f"{here[0]} is empty: write {here[0]}: {{}} for an object without fields")


def _is_map(annotation: Any) -> bool:
    """Whether a field is a map of strings, and not an object of any form."""
    if getattr(annotation, "__origin__", None) is dict:
        return annotation.__args__[1] is not Any
    return any(_is_map(argument) for argument in getattr(annotation, "__args__", ()))
