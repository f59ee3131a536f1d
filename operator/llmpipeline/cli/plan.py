"""The `plan` command: what applying pipelines will change, and what that costs. The rules are in `effect`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from llmpipeline import desired
from llmpipeline.classes.choose import NONE, Classes
from llmpipeline.cli import plan_classes
from llmpipeline.cli.cluster_options import CLUSTER
from llmpipeline.cli.connection import answers, ask, require_client, why
from llmpipeline.cli.documents import LoadedPipeline, compiled, read
from llmpipeline.cli.options import (
    CLASSES,
    FILES,
    NAMESPACE,
    NEGATIVE,
    OUTPUT,
    PLATFORM,
    UNREACHABLE,
    as_json,
    command,
    completed_file,
    fail,
    load_or_exit,
    sound_or_exit,
    wants_colour,
)
from llmpipeline.cli.plan_text import PlannedEdit, as_object, as_table
from llmpipeline.cluster.errors import Unreachable
from llmpipeline.desired import Desired
from llmpipeline.effect import (
    WORDS,
    Effect,
    Reason,
    changes,
    companions,
    differences,
    effect_of,
    effect_of_deletion,
    pipelines,
    reasons,
    unwanted,
)
from llmpipeline.effect.in_flight import during_upgrade
from llmpipeline.names import Key, Manifest
from llmpipeline.render.platform import DEFAULT, Platform

if TYPE_CHECKING:
    from llmpipeline.cluster.preview import Preview

_FORBIDDEN: Final = 403


def _words(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> set[str]:
    """Effects by name, each value with several between commas."""
    words = {word.strip() for value in values for word in value.split(",")}
    for word in sorted(words.difference(WORDS)):
        raise click.BadParameter(f"{word!r} is not one of {', '.join(WORDS)}.")
    return words


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{word}" for word in WORDS if word.startswith(last)]


@command(
    "llmpipeline plan pipeline.yaml",
    "llmpipeline plan -n ml --context production pipelines/",
    "git show HEAD:pipeline.yaml | llmpipeline plan -f pipeline.yaml --from - -o json",
    "llmpipeline plan -f pipeline.yaml --fail-on NewCluster,Interruption",
    "llmpipeline plan -f class.yaml",
)
@FILES
@CLASSES
@click.option(
    "--from",
    "former",
    metavar="OLD",
    shell_complete=completed_file,
    help="What it is compared with. Default: what the cluster runs.",
)
@click.option(
    "--fail-on",
    multiple=True,
    callback=_words,
    shell_complete=_complete,
    metavar="EFFECT",
    help=f"Exit with 1 if a pipeline has this effect. May be given several times, or with commas: {', '.join(WORDS)}.",
)
@NAMESPACE
@CLUSTER
@OUTPUT
@PLATFORM
def plan(
    files: tuple[str, ...],
    class_files: tuple[str, ...],
    namespace: str | None,
    context: str | None,
    former: str | None,
    fail_on: set[str],
    output: str,
    platform: Platform,
) -> None:
    """Report what applying pipelines would do to requests and GPUs. Nothing is changed.

    A pipeline is compared with its version in OLD, which is a file, a folder, or - for standard input. One that is in
    OLD alone is reported as deleted. Without --from a pipeline is compared with its RayService in the cluster of the
    kubeconfig (KUBECONFIG); if neither the file nor -n names a namespace, in
    that of the context. The exit code is 3 if the cluster
    cannot be reached.

    Classes are those of the cluster, and of the files in their place. For a class in FILE every pipeline of the cluster
    that has it is reported, or with -n those of one namespace.
    """
    if former == "-" and "-" in files:
        raise click.UsageError("standard input (-) can be read once: name a file for --from or for the pipelines.")
    try:
        if former:
            new, old = (
                load_or_exit(which, namespace or "", platform, class_files=class_files) for which in (files, (former,))
            )
            edits = edits_from_files(new.pipelines, old.pipelines)
        else:
            with answers():
                edits = _against_cluster(files, class_files, namespace, platform, context)
    except Unreachable as unreachable:
        fail(str(unreachable), UNREACHABLE)
    text = as_json([as_object(edit) for edit in edits]) if output == "json" else as_table(edits)
    click.echo(text, color=wants_colour())
    if failed := _failed(edits, fail_on):
        fail("\n".join(failed), NEGATIVE)


def _against_cluster(
    files: tuple[str, ...], class_files: tuple[str, ...], namespace: str | None, platform: Platform, context: str | None
) -> list[PlannedEdit]:
    where = namespace or _namespace(context)
    given = read(files, class_files)
    # What is wrong whatever the class is said without a cluster.
    has_classes = bool(sound_or_exit(compiled(given, where, platform), needs_classes=False).classes)
    there, documents = ask(_classes_and_pipelines(namespace, context, with_pipelines=has_classes))
    loaded = sound_or_exit(compiled(given, where, platform, there))
    edits = edits_from_cluster(loaded.pipelines, platform, context, there)
    own = {one.key for one in loaded.pipelines}
    files_of = {one.name: one.file for one in loaded.classes}
    others = [it for it in documents if plan_classes.key_of(it) not in own]
    affected = list(plan_classes.affected(others, files_of, there, loaded.known, platform))
    live = ask(_live([it.after for it in affected if isinstance(it.after, Desired)], context))
    return [*edits, *(_edit_by_class(it, live, platform, there) for it in affected)]


def _edit_by_class(
    it: plan_classes.Affected, live: "dict[Key, Preview]", platform: Platform, there: Classes
) -> PlannedEdit:
    if not isinstance(it.after, Desired):
        return plan_classes.rejection(it, it.after)
    edit = _edit_of(LoadedPipeline(it.file, it.after), live[it.key], platform, there)
    return replace(edit, effect=plan_classes.in_turn(edit.effect), reasons=plan_classes.by_the_class(edit.reasons))


def edits_from_files(loaded: Sequence[LoadedPipeline], former: Sequence[LoadedPipeline]) -> list[PlannedEdit]:
    """Compares pipelines with their former selves, and reports those that are no longer there."""
    by_key = {pipeline.key: pipeline for pipeline in former}
    old, new = [pipeline.desired for pipeline in former], [pipeline.desired for pipeline in loaded]
    heirs = pipelines.renames(old, new)
    names = {heir: gone for gone, heir in heirs.items()}
    deleted = [by_key[pipelines.key_of(gone)] for gone in pipelines.removed(old, new)]
    return [
        *(_edit_from(pipeline, by_key.get(pipeline.key), names.get(pipeline.key)) for pipeline in loaded),
        *(_deletion(pipeline, heirs.get(pipeline.key)) for pipeline in deleted),
    ]


def edits_from_cluster(
    loaded: Sequence[LoadedPipeline],
    platform: Platform = DEFAULT,
    context: str | None = None,
    classes: Classes = NONE,
) -> list[PlannedEdit]:
    """Compares pipelines with the RayServices in the cluster.

    Raises:
        Unreachable: The cluster does not answer.
    """
    live = ask(_live([pipeline.desired for pipeline in loaded], context))
    try:
        with answers():
            return [_edit_of(pipeline, live[pipeline.key], platform, classes) for pipeline in loaded]
    except Unreachable as error:
        raise Unreachable(why(error)) from error


def _failed(edits: Sequence[PlannedEdit], words: set[str]) -> list[str]:
    """A line for each pipeline with an effect that is not wanted."""
    return [
        f"{edit.file}: {edit.key.name}: {', '.join(found)}, which --fail-on names"
        for edit in edits
        if (found := unwanted(edit.effect, words))
    ]


def _namespace(context: str | None) -> str:
    require_client()
    from llmpipeline.cluster.kubeconfig import default_namespace

    return default_namespace(context)


async def _classes_and_pipelines(
    namespace: str | None, context: str | None, *, with_pipelines: bool
) -> tuple[Classes, list[Manifest]]:
    """The classes of the cluster, and the pipelines that may have one. Who may not read classes plans without them."""
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.errors import RequestRejected

    async with connect(context=context) as cluster:
        try:
            classes = Classes(await cluster.classes())
        except RequestRejected as rejected:
            if rejected.status != _FORBIDDEN:
                raise
            classes = Classes(unread=rejected.message)
        return classes, [item async for item in cluster.pipelines(namespace)] if with_pipelines else []


async def _live(wanted: Sequence[Desired], context: str | None) -> "dict[Key, Preview]":
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.preview import preview

    async with connect(context=context) as cluster:
        return {pipelines.key_of(one): await preview(cluster, one) for one in wanted}


def _edit_from(loaded: LoadedPipeline, former: LoadedPipeline | None, renamed_from: Key | None) -> PlannedEdit:
    if former is None:
        effect = effect_of(None, loaded.desired.service)
        if renamed_from:
            effect = _with(effect, pipelines.about_the_heir(renamed_from))
        return PlannedEdit(loaded.file, loaded.key, effect)
    old, new = former.desired, loaded.desired
    effect = effect_of(old.service, new.service)
    why = _reasons(effect, old.service, new, old)
    effect = companions.with_companions(effect, companions.between(old.companions, new.companions))
    return PlannedEdit(loaded.file, loaded.key, effect, differences(_spec(former), _spec(loaded), "spec"), why)


def _deletion(former: LoadedPipeline, renamed_to: Key | None) -> PlannedEdit:
    effect = effect_of_deletion(former.desired.service)
    if renamed_to:
        effect = _with(effect, pipelines.about_the_former(renamed_to))
    return PlannedEdit(former.file, former.key, effect)


def _edit_of(loaded: LoadedPipeline, live: "Preview", platform: Platform, classes: Classes) -> PlannedEdit:
    wanted = loaded.desired.service
    effect = effect_of(live.service, wanted)
    if live.service is None:
        return PlannedEdit(loaded.file, loaded.key, effect)
    unedited = desired.compile(live.document, platform, classes) if live.document else None
    why = _reasons(effect, live.service, loaded.desired, unedited if isinstance(unedited, Desired) else None)
    effect = _with(effect, during_upgrade(live.service, wanted, effect))
    effect = companions.with_companions(effect, live.companions)
    return PlannedEdit(loaded.file, loaded.key, effect, changes(live.service, wanted), why)


def _reasons(effect: Effect, old: Manifest, new: Desired, unedited: Desired | None = None) -> tuple[Reason, ...]:
    if effect.kind != "NewCluster":
        return ()
    rendered = unedited.service if unedited else None
    is_derived = not new.pipeline.spec.workers
    changes_hands = unedited is not None and is_derived == bool(unedited.pipeline.spec.workers)
    return reasons(old, new.service, is_derived=is_derived, changes_hands=changes_hands, unedited=rendered)


def _with(effect: Effect, sentence: str) -> Effect:
    return replace(effect, message=f"{effect.message} {sentence}") if sentence else effect


def _spec(loaded: LoadedPipeline) -> Any:
    return loaded.desired.pipeline.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
