"""The `plan` command: what applying pipelines changes, told before it is done."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from llmpipeline.cli.connection import ask
from llmpipeline.cli.documents import Read
from llmpipeline.cluster import Key, Manifest, connect, default_namespace
from llmpipeline.effect import Difference, Effect, changes, differences, effect_of
from llmpipeline.render.rayservice import rayservice
from llmpipeline.render.surroundings import surroundings

_COLUMNS: Final = ("NAME", "EFFECT", "GPUS", "MEANWHILE")
_COLOURS: Final = {"None": "green", "InPlace": "green", "NewCluster": "yellow", "Ignored": "red", "Suspend": "red"}
_MOST_CHANGES: Final = 10
_LONGEST_VALUE: Final = 40
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Edit:
    """What applying one pipeline does.

    Attributes:
        file: Where it stands.
        key: Its namespace and name.
        effect: What happens.
        changes: The fields that change, of the LLMPipeline where its former self is known, else of the RayService.
    """

    file: str
    key: Key
    effect: Effect
    changes: tuple[Difference, ...]


def edits_from_files(wanted: Sequence[Read], former: Sequence[Read]) -> list[Edit]:
    """Compares pipelines with their former selves."""
    by_key = {_key(read): read for read in former}
    return [_edit_from(read, by_key.get(_key(read))) for read in wanted]


def edits_from_cluster(wanted: Sequence[Read]) -> list[Edit]:
    """Compares pipelines with the RayServices in the cluster, where kubectl would apply them. Raises `Unreachable`."""
    wanted = [_placed(read) for read in wanted]
    live = ask(_live([_key(read) for read in wanted]))
    return [_edit_of(read, live[_key(read)]) for read in wanted]


def as_table(edits: Sequence[Edit]) -> str:
    """One row a pipeline; below, what happens and why."""
    rows = [_row(edit, edits) for edit in edits]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    table = "\n".join(_line(row, widths) for row in (_COLUMNS, *rows))
    return "\n\n".join((table, *(_explained(edit, row[0]) for edit, row in zip(edits, rows, strict=True))))


def as_json(edits: Sequence[Edit]) -> str:
    """A JSON list of objects; the names of their members stay."""
    return json.dumps([_object(edit) for edit in edits], indent=2, ensure_ascii=False)


def _placed(read: Read) -> Read:
    """With the namespace that kubectl gives it, where its file names none."""
    metadata = read.pipeline.metadata
    if "namespace" in metadata.model_fields_set:
        return read
    placed = metadata.model_copy(update={"namespace": default_namespace()})
    return replace(read, pipeline=read.pipeline.model_copy(update={"metadata": placed}))


async def _live(keys: Sequence[Key]) -> dict[Key, Manifest | None]:
    async with connect() as cluster:
        return {key: await cluster.rayservice(key) for key in keys}


def _edit_from(read: Read, former: Read | None) -> Edit:
    if former is None:
        return _edit_of(read, None)
    effect = effect_of(_manifest(former), _manifest(read))
    if around := _around(former, read):
        effect = replace(effect, message=f"{effect.message} {around}" if effect.fields else around)
    return Edit(read.file, _key(read), effect, differences(_spec(former), _spec(read), "spec"))


def _edit_of(read: Read, live: Manifest | None) -> Edit:
    wanted = _manifest(read)
    return Edit(read.file, _key(read), effect_of(live, wanted), changes(live, wanted) if live else ())


def _around(former: Read, read: Read) -> str:
    """What changes of the manifests beside the RayService. None of them restarts a Pod."""
    old, new = (
        {f"{made['kind']} {made['metadata']['name']}": made for made in surroundings(one.pipeline, one.plan)}
        for one in (former, read)
    )
    fates = [
        f"{name} {'is added' if name not in old else 'is removed' if name not in new else 'changes'}"
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]
    return f"Around the Ray cluster: {', '.join(fates)}; no Pod restarts for it." if fates else ""


def _key(read: Read) -> Key:
    return Key(read.pipeline.metadata.namespace, read.pipeline.metadata.name)


def _manifest(read: Read) -> Manifest:
    return rayservice(read.pipeline, read.plan)


def _spec(read: Read) -> Any:
    return read.pipeline.spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def _row(edit: Edit, edits: Sequence[Edit]) -> tuple[str, ...]:
    several = len({other.key.namespace for other in edits}) > 1
    name = f"{edit.key.namespace}/{edit.key.name}" if several else edit.key.name
    before, after = _range(edit.effect.gpus_before), _range(edit.effect.gpus_after)
    more = f"+{edit.effect.gpus_more}" if edit.effect.gpus_more else "-"
    return name, edit.effect.kind, before if before == after else f"{before} -> {after}", more


def _range(gpus: tuple[int, int]) -> str:
    least, most = gpus
    return str(least) if least == most else f"{least}-{most}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    # Colours come after the widths, for their codes take no room.
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    colour = _COLOURS.get(row[1])
    cells[1] = click.style(cells[1], fg=colour) if colour else cells[1]
    return "  ".join(cells).rstrip()


def _explained(edit: Edit, name: str) -> str:
    message = click.wrap_text(edit.effect.message, _WIDTH, "  ", "  ")
    fields = [f"    {_change(change)}" for change in edit.changes[:_MOST_CHANGES]]
    rest = len(edit.changes) - _MOST_CHANGES
    return "\n".join((f"{name}:", message, *fields, *([f"    and {rest} more"] if rest > 0 else [])))


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


def _object(edit: Edit) -> dict[str, Any]:
    effect = edit.effect
    return {
        "file": edit.file,
        "namespace": edit.key.namespace,
        "name": edit.key.name,
        "effect": effect.kind,
        "message": effect.message,
        "gpus": {
            "before": {"requested": effect.gpus_before[0], "maximum": effect.gpus_before[1]},
            "after": {"requested": effect.gpus_after[0], "maximum": effect.gpus_after[1]},
            "meanwhile": effect.gpus_more,
        },
        "changes": [{"field": change.field, "before": change.before, "after": change.after} for change in edit.changes],
    }
