"""What the API server checks of any object before it looks at the spec: the top-level fields and the metadata.

Only files need it. What the operator reads has passed it, and may hold metadata of a Kubernetes that is newer than
this list.
Source: https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go
"""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from llmpipeline.api.base import Model
from llmpipeline.api.explain import explained
from llmpipeline.api.nulls import without_nulls
from llmpipeline.problems import Path, Problem

_TOP_LEVEL: Final = ("apiVersion", "kind", "metadata", "spec", "status")
_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LONGEST_SUBDOMAIN: Final = 253
_LARGEST_ANNOTATIONS: Final = 256 * 1024
_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$"


class _OwnerReference(Model):
    """An object that this one belongs to."""

    api_version: Annotated[str, Field(pattern=r"^([^/]*/)?[^/]+$")]
    kind: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    uid: Annotated[str, Field(min_length=1)]
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class _ObjectMeta(Model):
    """The metadata of any object, with all its fields."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    self_link: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: Annotated[str, Field(pattern=_TIME)] | None = None
    deletion_timestamp: Annotated[str, Field(pattern=_TIME)] | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None
    owner_references: tuple[_OwnerReference, ...] | None = None
    finalizers: tuple[str, ...] | None = None
    managed_fields: tuple[dict[str, Any], ...] | None = None


class _Object(Model):
    """An object, whose metadata alone matter here."""

    metadata: _ObjectMeta


def problems(document: dict[str, Any]) -> Iterator[Problem]:
    """All that the API server would reject of a file's document, its spec aside."""
    for key in document:
        if key not in _TOP_LEVEL:
            yield Problem((key,), "unknown field", f"known here: {', '.join(_TOP_LEVEL[:-1])}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return
    given = {"metadata": without_nulls(metadata, _ObjectMeta, ("metadata",), [])}
    try:
        parsed = _Object.model_validate_json(json.dumps(given), by_alias=True, by_name=False)
    except ValidationError as error:
        yield from explained(error, given, _Object)
    except (TypeError, ValueError, RecursionError):
        return  # the spec's own check says it of the whole document
    else:
        yield from _wrong_values(parsed.metadata)


def _wrong_values(metadata: _ObjectMeta) -> Iterator[Problem]:
    at: Path = ("metadata",)
    if metadata.namespace and not re.fullmatch(_LABEL, metadata.namespace):
        message = f"{metadata.namespace!r} cannot be the name of a namespace"
        yield Problem((*at, "namespace"), message, "write lower-case letters, digits and dashes, like team-a")
    for key, value in (metadata.labels or {}).items():
        if wrong := wrong_key(key):
            yield Problem((*at, "labels", key), *wrong)
        elif value and not _NAME.fullmatch(value):
            message = f"{value!r} cannot be the value of a label"
            yield Problem(
                (*at, "labels", key), message, "write at most 63 letters, digits, dashes, dots and underscores"
            )
    annotations = metadata.annotations or {}
    for key in annotations:
        if wrong := wrong_key(key.lower()):
            yield Problem((*at, "annotations", key), *wrong)
    if (
        sum(len(key.encode()) + len((value or "").encode()) for key, value in annotations.items())
        > _LARGEST_ANNOTATIONS
    ):
        yield Problem((*at, "annotations"), f"has more than {_LARGEST_ANNOTATIONS // 1024} KiB", "make it smaller")
    for index, finalizer in enumerate(metadata.finalizers or ()):
        if wrong := wrong_key(finalizer):
            yield Problem((*at, "finalizers", index), *wrong)
    if {"orphan", "foregroundDeletion"} <= set(metadata.finalizers or ()):
        yield Problem((*at, "finalizers"), "orphan and foregroundDeletion contradict each other", "leave one out")
    owners = set(metadata.owner_references or ())  # the API server drops what it has twice
    if sum(owner.controller is True for owner in owners) > 1:
        yield Problem((*at, "ownerReferences"), "more than one owner is the controller", "make it one")
    if any((owner.api_version, owner.kind) == ("v1", "Event") for owner in owners):
        yield Problem((*at, "ownerReferences"), "an Event cannot own anything", "leave it out")


def wrong_key(key: str) -> tuple[str, str] | None:
    """What is wrong with the key of a label, an annotation or a finalizer, and what to do; None if nothing is."""
    prefix, slash, name = key.rpartition("/")
    prefix_is_right = not slash or (_SUBDOMAIN.fullmatch(prefix) and len(prefix) <= _LONGEST_SUBDOMAIN)
    if prefix_is_right and _NAME.fullmatch(name):
        return None
    return f"{key!r} cannot be a key", "write letters, digits, dashes, dots and underscores, like example.com/team"
