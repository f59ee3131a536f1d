"""What a change of classes does to the pipelines of a cluster. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from llmpipeline import desired
from llmpipeline.api.parse import metadata_of, parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.classes.choose import Classes, Used, choose
from llmpipeline.cli.plan_text import PlannedEdit
from llmpipeline.desired import Desired, Rejected
from llmpipeline.effect import Effect, effect_of
from llmpipeline.effect.fields import UNDO
from llmpipeline.effect.reasons import Reason
from llmpipeline.names import Key, Manifest
from llmpipeline.problems import summarize
from llmpipeline.render.platform import Platform

IN_TURN: Final = "A change of a class reaches one pipeline after the other: this one waits for its turn."


@dataclass(frozen=True, slots=True)
class Affected:
    """A pipeline of the cluster that has a class of a file.

    Attributes:
        file: Where that class stands.
        key: Which pipeline.
        before: What is desired for it with the classes of the cluster.
        after: The same with those of the files.
    """

    file: str
    key: Key
    before: Desired
    after: Desired | Rejected


def affected(
    documents: Iterable[Manifest], files: Mapping[str, str], there: Classes, known: Classes, platform: Platform
) -> Iterator[Affected]:
    """The pipelines that a change of classes matters to, of those that are accepted now.

    Args:
        documents: Pipelines of the cluster.
        files: Where each class that may change stands, by its name.
        there: The classes of the cluster.
        known: The same with those of the files in their place.
        platform: What administrators decided for all pipelines.
    """
    for document in documents:
        names = [_class_of(document, classes) for classes in (known, there)]
        name = next((name for name in names if name in files), None)
        if names[0] is None:  # none can be chosen any more: two are marked as default, say
            name = name or next(iter(files))
        before = desired.compile(document, platform, there)
        if name and isinstance(before, Desired):
            metadata = before.metadata
            after = desired.compile(document, platform, known)
            yield Affected(files[name], Key(metadata.namespace, metadata.name), before, after)


def key_of(document: Manifest) -> Key:
    """Which pipeline a document is of."""
    metadata = metadata_of(document)
    return Key(metadata.namespace, metadata.name)


def rejection(it: Affected, rejected: Rejected) -> PlannedEdit:
    """What becomes of a pipeline that can no longer work."""
    same = effect_of(it.before.service, it.before.service)
    message = f"It is no longer accepted: {summarize(rejected.problems)}. What runs goes on running."
    return PlannedEdit(it.file, it.key, replace(same, kind="Ignored", message=message))


def in_turn(effect: Effect) -> Effect:
    """The effect, with when it comes."""
    return replace(effect, message=f"{effect.message} {IN_TURN}") if effect.kind == "NewCluster" else effect


def by_the_class(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The reasons for a new Ray cluster if only the class changes: what GPUs and their nodes are, its types say."""
    types = Reason("gpuTypes", "gpuTypes of the class changes", UNDO)
    ends = (".accelerator", ".podTemplate")
    return tuple(dict.fromkeys(types if reason.field.endswith(ends) else reason for reason in reasons))


def _class_of(document: Manifest, classes: Classes) -> str | None:
    """The name of a pipeline's class, empty if it has none; None if none can be chosen."""
    parsed = parse(document)
    used = choose(parsed, classes) if isinstance(parsed, LLMPipeline) else None
    return used.name if isinstance(used, Used) else None
