"""The expressions of the chart's admission policy, from the marks on the models (`llmpipeline.api.run_code`).

A mark on a field is all there is to say: where the field stands, however deep in lists, is found in the schema.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from llmpipeline.api.crd import marked_schema
from llmpipeline.api.run_code import marked

Schema = dict[str, Any]
# Names of fields from the spec on; those of lists end in [].
Way = tuple[str, ...]


@dataclass
class _Tree:
    """The fields that lead to marked ones; `mark` is None except where one is."""

    below: dict[str, "_Tree"] = field(default_factory=dict)
    mark: Schema | None = None


def places(node: Schema, way: Way = ()) -> Iterator[tuple[Way, Schema]]:
    """Every marked field below a node, with its mark. What is inside a marked field needs no mark of its own."""
    for name, inner in node.get("properties", {}).items():
        is_list = inner.get("type") == "array"
        here = (*way, f"{name}[]" if is_list else name)
        if mark := marked(inner):
            yield (*way, name), mark
        else:
            yield from places(inner["items"] if is_list else inner, here)


def validations() -> list[dict[str, str]]:
    """For each kind of marked field its name in messages, and the CEL expression that is true where one is set."""
    trees: dict[str, _Tree] = {}
    for way, mark in places(marked_schema()["properties"]["spec"]):
        tree = trees.setdefault(mark["what"], _Tree())
        for name in way:
            tree = tree.below.setdefault(name, _Tree())
        tree.mark = mark
    return [_validation(what, tree) for what, tree in trees.items()]


def _validation(what: str, tree: _Tree) -> dict[str, str]:
    validation = {"what": what, "expression": _any("variables.spec", tree, _is_set, " || ")}
    which = _any("variables.spec", tree, _which, " + ")
    return {**validation, "which": which} if which else validation


def _any(subject: str, tree: _Tree, of_marked: Callable[[str, Schema], str], joined: str) -> str:
    """An expression of each marked field below the subject, joined."""
    found = (_one(subject, name, below, of_marked, joined) for name, below in tree.below.items())
    return joined.join(expression for expression in found if expression)


def _one(subject: str, name: str, tree: _Tree, of_marked: Callable[[str, Schema], str], joined: str) -> str:
    if name.endswith("[]"):
        item = name.removesuffix("s[]")
        inner = _any(item, tree, of_marked, joined)
        return f"{subject}.?{name[:-2]}.orValue([]).exists({item}, {inner})" if inner else ""
    here = f"{subject}.?{name}"
    return _any(here, tree, of_marked, joined) if tree.mark is None else of_marked(here, tree.mark)


def _is_set(here: str, mark: Schema) -> str:
    """Whether a marked field is set, so that it runs code."""
    return f"{here}.optMap(value, !({mark['unless']})).orValue(false)" if mark["unless"] else f"{here}.hasValue()"


def _which(here: str, mark: Schema) -> str:
    """What of a marked field is set so; of one that is in no list."""
    return f"{here}.optMap(value, {mark['which']}).orValue('')" if mark["which"] else ""
