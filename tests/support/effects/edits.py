"""Rows of the table of what an edit of each field does, and how they are made: see `field_effects`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

Document = dict[str, Any]
Place = Callable[[Document], Document]
"""From a block to the spec that it is in."""

Kind = Literal[
    "InPlace", "LivePatch", "AddWorkers", "NewCluster", "Suspend", "Resume", "Ignored",
    "Companions",  # what changes stands beside the RayService
    "Nothing",  # no manifest changes
    "Rejected",  # the edit is not accepted
]  # fmt: skip
# Whose replicas restart, in place: nobody's, the deployment's, or all of the app.
Restarts = Literal["", "deployment", "app"]

IN_PLACE: Final = "InPlace"
LIVE: Final = "LivePatch"
NEW: Final = "NewCluster"


@dataclass(frozen=True)
class Edit:
    """An edit of a field of a block.

    Attributes:
        field: Its path, from the block on.
        was: What the block holds before, instead of the same fields of its base.
        now: What it holds afterwards.
        kind: What the edit does; of an app, where the worker groups are given.
        restarts: Whose replicas restart.
        derived: What it does where the groups are derived from the apps; None is the same.
        how: What is done, where it is not the change of a value.
    """

    field: str
    was: Document
    now: Document
    kind: Kind
    restarts: Restarts = ""
    derived: Kind | None = None
    how: str = ""


@dataclass(frozen=True)
class Row:
    """An edit of a field of the resource: `was` and `now` are whole specs."""

    field: str
    was: Document
    now: Document
    kind: Kind
    restarts: Restarts = ""
    derived: bool = False
    how: str = ""

    @property
    def title(self) -> str:
        """Says which row it is, in a word."""
        words = [self.field.removeprefix("spec."), self.how, "derived" if self.derived else ""]
        return "-".join(word.replace(" ", "_") for word in words if word)


def edit(
    field: str,
    was: Any,
    now: Any,
    kind: Kind,
    restarts: Restarts = "",
    *,
    derived: Kind | None = None,
    beside: Document | None = None,
    how: str = "",
) -> Edit:
    """A field with another value; None is a field left out. `beside` is what the block holds as well."""
    before, after = (_laid_over(beside or {}, {} if value is None else _at(field, value)) for value in (was, now))
    return Edit(field, before, after, kind, restarts, derived, how)


def inside(field: str, edits: Iterable[Edit], beside: Document | None = None) -> list[Edit]:
    """The edits of a block as edits of what holds it; `beside` is what the block holds as well."""
    return [
        replace(
            one,
            field=f"{field}.{one.field}",
            was={field: _laid_over(beside or {}, one.was)},
            now={field: _laid_over(beside or {}, one.now)},
        )
        for one in edits
    ]


def but(edits: Iterable[Edit], fields: tuple[str, ...], **other: Any) -> list[Edit]:
    """The edits, where those of the fields that begin so do something else."""
    return [replace(one, **other) if one.field.startswith(fields) else one for one in edits]


def row(path: str, place: Place, base: Document, one: Edit) -> Row:
    """The row of an edit of a block. What the edit speaks of is not the base's: it may have another choice there."""
    kept = {field: value for field, value in base.items() if field not in (*one.was, *one.now, one.field)}
    was, now = (place(kept | block) for block in (one.was, one.now))
    return Row(f"{path}.{one.field}", was, now, one.kind, one.restarts, how=one.how)


def _laid_over(base: Any, patch: Any) -> Any:
    """Objects merge key by key, and all else is replaced."""
    if not (isinstance(base, dict) and isinstance(patch, dict)):
        return patch
    return base | {key: _laid_over(base.get(key), value) for key, value in patch.items()}


def _at(field: str, value: Any) -> Document:
    """`a.b` and 1: {a: {b: 1}}."""
    for name in reversed(field.split(".")):
        value = {name: value}
    found: Document = value
    return found
