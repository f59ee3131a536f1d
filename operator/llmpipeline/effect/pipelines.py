"""Pipelines that are no longer there, and those that come instead: a rename is a new pipeline and a deletion."""

from collections.abc import Iterable, Mapping
from typing import Any

from llmpipeline.api.pipeline import Spec
from llmpipeline.desired import Desired
from llmpipeline.names import Key

_NOTHING_TAKES_OVER = "A new pipeline starts and the old one is deleted; nothing takes the requests over."


def key_of(pipeline: Desired) -> Key:
    """Its namespace and name."""
    return Key(pipeline.metadata.namespace, pipeline.metadata.name)


def removed(former: Iterable[Desired], new: Iterable[Desired]) -> tuple[Desired, ...]:
    """The former pipelines that are not among the new ones."""
    kept = {key_of(pipeline) for pipeline in new}
    return tuple(pipeline for pipeline in former if key_of(pipeline) not in kept)


def renames(former: Iterable[Desired], new: Iterable[Desired]) -> dict[Key, Key]:
    """The new name of each former pipeline that seems to be renamed: one of its namespace has its spec, or its apps."""
    old, current = list(former), list(new)
    before = {key_of(pipeline) for pipeline in old}
    heirs = {key_of(pipeline): pipeline for pipeline in current if key_of(pipeline) not in before}
    found: dict[Key, Key] = {}
    for alike in (_spec, _apps):
        for pipeline in removed(old, current):
            key = key_of(pipeline)
            heir = None if key in found else _heir(pipeline, heirs, alike)
            if heir:
                found[key] = heir
                del heirs[heir]
    return found


def about_the_former(heir: Key) -> str:
    """What is said of a pipeline that is renamed."""
    return f"This looks like a rename to {heir.name}. {_NOTHING_TAKES_OVER}"


def about_the_heir(former: Key) -> str:
    """What is said of the pipeline that it is renamed to."""
    return f"This looks like a rename of {former.name}. {_NOTHING_TAKES_OVER}"


def _heir(pipeline: Desired, heirs: Mapping[Key, Desired], alike: Any) -> Key | None:
    wanted = alike(pipeline.pipeline.spec)
    for key, heir in heirs.items():
        if key.namespace == pipeline.metadata.namespace and alike(heir.pipeline.spec) == wanted:
            return key
    return None


def _spec(spec: Spec) -> Any:
    return spec


def _apps(spec: Spec) -> Any:
    return spec.apps
