"""What `plan` found, as a person and as a program reads it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from llmpipeline.api.quantity import Range
from llmpipeline.effect import Difference, Effect, Reason
from llmpipeline.names import Key

_COLUMNS: Final = ("NAME", "EFFECT", "GPUS", "EXTRA GPUS")
_COLOURS: Final = {
    "Unchanged": "green",
    "InPlace": "green",
    "NewCluster": "yellow",
    "Ignored": "red",
    "Suspend": "red",
    "Delete": "red",
}
_MOST_CHANGES: Final = 10
_LONGEST_VALUE: Final = 40
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class PlannedEdit:
    """What applying one pipeline does.

    Attributes:
        file: Where it stands.
        key: Its namespace and name.
        effect: What happens.
        changes: The fields that change, of the LLMPipeline where its former self is known, else of the RayService.
        reasons: Why there is a new Ray cluster; empty if there is none.
    """

    file: str
    key: Key
    effect: Effect
    changes: tuple[Difference, ...] = ()
    reasons: tuple[Reason, ...] = ()


def as_table(edits: Sequence[PlannedEdit]) -> str:
    """One row a pipeline; below, what happens and why."""
    rows = [_row(edit, edits) for edit in edits]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    table = "\n".join(_line(row, widths) for row in (_COLUMNS, *rows))
    return "\n\n".join((table, *(_explained(edit, row[0]) for edit, row in zip(edits, rows, strict=True))))


def as_object(edit: PlannedEdit) -> dict[str, Any]:
    """For JSON."""
    effect = edit.effect
    return {
        "file": edit.file,
        "namespace": edit.key.namespace,
        "name": edit.key.name,
        "effect": effect.kind,
        "message": effect.message,
        "interrupts": effect.interrupts,
        "gpus": {
            "before": {"requested": effect.gpus_before.minimum, "maximum": effect.gpus_before.maximum},
            "after": {"requested": effect.gpus_after.minimum, "maximum": effect.gpus_after.maximum},
            "extraDuringUpdate": effect.gpus_more,
            "extraByType": dict(effect.extra),
        },
        "reasons": [{"field": it.field, "reason": it.reason, "remedy": it.remedy} for it in edit.reasons],
        "changes": [{"field": change.field, "before": change.before, "after": change.after} for change in edit.changes],
    }


def _row(edit: PlannedEdit, edits: Sequence[PlannedEdit]) -> tuple[str, ...]:
    several = len({other.key.namespace for other in edits}) > 1
    name = f"{edit.key.namespace}/{edit.key.name}" if several else edit.key.name
    before, after = _range(edit.effect.gpus_before), _range(edit.effect.gpus_after)
    more = " ".join(f"+{count} {kind}".rstrip() for kind, count in edit.effect.extra if count)
    return name, edit.effect.kind, before if before == after else f"{before} -> {after}", more or "-"


def _range(gpus: Range) -> str:
    least, most = gpus
    return str(least) if least == most else f"{least}-{most}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    # Colours come after the widths, for their codes take no room.
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    colour = _COLOURS.get(row[1])
    cells[1] = click.style(cells[1], fg=colour) if colour else cells[1]
    return "  ".join(cells).rstrip()


def _explained(edit: PlannedEdit, name: str) -> str:
    message = click.wrap_text(edit.effect.message, _WIDTH, "  ", "  ")
    why = [f"    because {it.reason}; {it.remedy}" for it in edit.reasons[:_MOST_CHANGES]]
    fields = [f"    {_change(change)}" for change in edit.changes[:_MOST_CHANGES]]
    return "\n".join((f"{name}:", message, *why, *_rest(edit.reasons), *fields, *_rest(edit.changes)))


def _rest(items: Sequence[object]) -> list[str]:
    count = len(items) - _MOST_CHANGES
    return [f"    and {count} more"] if count > 0 else []


def _change(change: Difference) -> str:
    if change.before is None or change.after is None:
        given = change.before if change.after is None else change.after
        what = "removed" if change.after is None else "added"
        return f"{change.field}: {what}" + ("" if isinstance(given, dict | list) else f", {_value(given)}")
    if isinstance(change.before, dict | list) or isinstance(change.after, dict | list):
        return f"{change.field}: changed"
    return f"{change.field}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
