"""The `explain` command: what a field means, without a cluster."""

import textwrap
from collections.abc import Iterator
from typing import Final

import click

from llmpipeline import names
from llmpipeline.api.fields import Field, find, plain, root, walk
from llmpipeline.api.other_names import HINTS
from llmpipeline.cli.columns import aligned
from llmpipeline.cli.options import NEGATIVE, command, fail

_WIDTH: Final = 100
_MARGIN: Final = "      "


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The fields of the object that is typed so far."""
    before, _, last = incomplete.rpartition(".")
    here = find(before)
    if not isinstance(here, Field):
        return []
    prefix = f"{before}." if before else ""
    return [f"{prefix}{field.name}" for field in here.fields if field.name.startswith(last)]


@command(
    "llmpipeline explain",
    "llmpipeline explain spec.apps.openai.models",
    "llmpipeline explain spec.ray --recursive",
)
@click.argument("field", default="", shell_complete=_complete)
@click.option("--recursive", is_flag=True, help="All fields below, with their types alone.")
def explain(field: str, recursive: bool) -> None:
    """Explain a FIELD of the resource: its type, default, bounds and meaning, and the fields in it.

    No cluster is asked. Without a FIELD it explains the resource itself.
    """
    found = find(field)
    if not isinstance(found, Field):
        fail(_unknown(field, found), NEGATIVE)
    click.echo("\n".join(_tree(found) if recursive else _text(found)))


def _unknown(field: str, meant: list[str]) -> str:
    if hint := HINTS.get(field.rpartition(".")[2]):
        return f"there is no field {field}; {hint}"
    if not meant:
        fields = ", ".join(it.name for it in find_nearest(field).fields)
        return f"there is no field {field}; known here: {fields}"
    suggestions = " or ".join((", ".join(meant[:-1]), meant[-1])) if len(meant) > 1 else meant[0]
    return f"there is no field {field}; did you mean {suggestions}?"


def find_nearest(field: str) -> Field:
    """The innermost object of a path that is there."""
    while field:
        field = field.rpartition(".")[0]
        if isinstance(here := find(field), Field):
            return here if here.fields else root()
    return root()


def _text(field: Field) -> Iterator[str]:
    yield f"KIND:   {names.KIND} ({names.API_VERSION})"
    if field.path:
        yield f"FIELD:  {plain(field)} <{field.type}>{_marks(field)}"
    yield ""
    yield from textwrap.wrap(field.description, _WIDTH)
    if rules := field.rules:
        yield "\nRULES"
        for rule in rules:
            yield from textwrap.wrap(rule, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    if below := field.fields:
        yield "\nFIELDS"
        for inner in below:
            yield f"  {inner.name} <{inner.type}>{_marks(inner)}"
            yield from textwrap.wrap(
                inner.description, _WIDTH - len(_MARGIN), initial_indent=_MARGIN, subsequent_indent=_MARGIN
            )


def _marks(field: Field) -> str:
    said = []
    if field.is_required:
        said.append("required")
    if field.default:
        said.append(f"default {field.default}")
    if field.bounds:
        said.append(field.bounds)
    return f"  {'; '.join(said)}" if said else ""


def _tree(field: Field) -> Iterator[str]:
    rows = [(plain(below), below.type, "required" if below.is_required else "") for below in walk(field)]
    yield from aligned(rows or [(plain(field), field.type, "")])
