"""The `plan` command: what applying pipelines will change, and what that costs. The rules are in `effect`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from llmpipeline.api.quantity import Range
from llmpipeline.cli.connection import ask
from llmpipeline.cli.documents import LoadedPipeline
from llmpipeline.cli.options import FILES, OUTPUT, UNREACHABLE, as_json, command, fail, load_or_exit, wants_colour
from llmpipeline.cluster.errors import Unreachable
from llmpipeline.effect import Difference, Effect, changes, differences, effect_of
from llmpipeline.names import Key, Manifest

_COLUMNS: Final = ("NAME", "EFFECT", "GPUS", "EXTRA GPUS")
_COLOURS: Final = {"Unchanged": "green", "InPlace": "green", "NewCluster": "yellow", "Ignored": "red", "Suspend": "red"}
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
    """

    file: str
    key: Key
    effect: Effect
    changes: tuple[Difference, ...]


@command(
    "llmpipeline plan -f pipeline.yaml",
    "git show HEAD:pipeline.yaml | llmpipeline plan -f pipeline.yaml --from - -o json",
)
@FILES
@click.option("--from", "former", metavar="OLD", help="What it is compared with. Default: what the cluster runs.")
@OUTPUT
def plan(files: tuple[str, ...], former: str | None, output: str) -> None:
    """Report what applying pipelines would do to requests and GPUs. Nothing is changed.

    A pipeline is compared with its version in OLD, which is a file, a folder, or - for standard input. Without --from
    it is compared with its RayService in the cluster of the kubeconfig (KUBECONFIG); if the file names no namespace, in
    that of the context. The exit code is 3 if the cluster cannot be reached.
    """
    try:
        if former:
            edits = edits_from_files(load_or_exit(files), load_or_exit((former,)))
        else:
            edits = edits_from_cluster(load_or_exit(files, _namespace()))
    except Unreachable as unreachable:
        fail(str(unreachable), UNREACHABLE)
    text = as_json([_object(edit) for edit in edits]) if output == "json" else as_table(edits)
    click.echo(text, color=wants_colour())


def edits_from_files(loaded: Sequence[LoadedPipeline], former: Sequence[LoadedPipeline]) -> list[PlannedEdit]:
    """Compares pipelines with their former selves."""
    by_key = {pipeline.key: pipeline for pipeline in former}
    return [_edit_from(pipeline, by_key.get(pipeline.key)) for pipeline in loaded]


def edits_from_cluster(loaded: Sequence[LoadedPipeline]) -> list[PlannedEdit]:
    """Compares pipelines with the RayServices in the cluster.

    Raises:
        Unreachable: The cluster does not answer.
    """
    live = ask(_live([pipeline.key for pipeline in loaded]))
    return [_edit_of(pipeline, live[pipeline.key]) for pipeline in loaded]


def as_table(edits: Sequence[PlannedEdit]) -> str:
    """One row a pipeline; below, what happens and why."""
    rows = [_row(edit, edits) for edit in edits]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    table = "\n".join(_line(row, widths) for row in (_COLUMNS, *rows))
    return "\n\n".join((table, *(_explained(edit, row[0]) for edit, row in zip(edits, rows, strict=True))))


def _namespace() -> str:
    from llmpipeline.cluster.client import default_namespace

    return default_namespace()


async def _live(keys: Sequence[Key]) -> dict[Key, Manifest | None]:
    from llmpipeline.cluster.client import connect

    async with connect() as cluster:
        return {key: await cluster.rayservice(key) for key in keys}


def _edit_from(loaded: LoadedPipeline, former: LoadedPipeline | None) -> PlannedEdit:
    if former is None:
        return _edit_of(loaded, None)
    effect = effect_of(former.desired.service, loaded.desired.service)
    if companions := _companions(former, loaded):
        effect = replace(effect, message=f"{effect.message} {companions}" if effect.fields else companions)
    return PlannedEdit(loaded.file, loaded.key, effect, differences(_spec(former), _spec(loaded), "spec"))


def _edit_of(loaded: LoadedPipeline, live: Manifest | None) -> PlannedEdit:
    wanted = loaded.desired.service
    return PlannedEdit(loaded.file, loaded.key, effect_of(live, wanted), changes(live, wanted) if live else ())


def _companions(former: LoadedPipeline, loaded: LoadedPipeline) -> str:
    """What changes of the companion objects. None of it restarts a Pod."""
    old, new = (
        {f"{made['kind']} {made['metadata']['name']}": made for made in one.desired.companions}
        for one in (former, loaded)
    )
    fates = [
        f"{name} {'is added' if name not in old else 'is removed' if name not in new else 'changes'}"
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]
    return f"Companion objects: {', '.join(fates)}; no Pod restarts for it." if fates else ""


def _spec(loaded: LoadedPipeline) -> Any:
    return loaded.desired.pipeline.spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def _row(edit: PlannedEdit, edits: Sequence[PlannedEdit]) -> tuple[str, ...]:
    several = len({other.key.namespace for other in edits}) > 1
    name = f"{edit.key.namespace}/{edit.key.name}" if several else edit.key.name
    before, after = _range(edit.effect.gpus_before), _range(edit.effect.gpus_after)
    more = f"+{edit.effect.gpus_more}" if edit.effect.gpus_more else "-"
    return name, edit.effect.kind, before if before == after else f"{before} -> {after}", more


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


def _object(edit: PlannedEdit) -> dict[str, Any]:
    effect = edit.effect
    return {
        "file": edit.file,
        "namespace": edit.key.namespace,
        "name": edit.key.name,
        "effect": effect.kind,
        "message": effect.message,
        "gpus": {
            "before": {"requested": effect.gpus_before.minimum, "maximum": effect.gpus_before.maximum},
            "after": {"requested": effect.gpus_after.minimum, "maximum": effect.gpus_after.maximum},
            "extraDuringUpdate": effect.gpus_more,
        },
        "changes": [{"field": change.field, "before": change.before, "after": change.after} for change in edit.changes],
    }
