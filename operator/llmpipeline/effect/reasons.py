"""Why a change makes KubeRay create a new Ray cluster, in the words of the LLMPipeline, and what to do instead."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmpipeline.effect import fields
from llmpipeline.effect.differences import Difference, differences
from llmpipeline.effect.fields import Origin
from llmpipeline.kuberay.cluster_spec import cluster_spec_for_hash
from llmpipeline.names import Manifest

_HEAD: Final = "headGroupSpec"
_GROUPS: Final = "workerGroupSpecs"
_PATH: Final = "spec.rayClusterConfig"
_POD_TEMPLATE: Final = "template."
_TEXT: Final = re.compile(r"template\.metadata\.(labels|annotations)(?:\.|\[)(.*?)\]?$")
_AFFINITY: Final = "template.spec.affinity.nodeAffinity"


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of a new Ray cluster.

    Attributes:
        field: The field of the LLMPipeline; that of the RayService if no field of the pipeline has changed.
        reason: What changes, as the start of a sentence.
        remedy: What to do instead.
    """

    field: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Group:
    """The Pods that differ.

    Attributes:
        name: Of the worker group; empty for the head.
        holder: The field of the pipeline that has their settings.
        texts: Keys of labels and annotations that the RayService has too, so that they are the pipeline's.
    """

    name: str
    holder: str
    texts: frozenset[str]


def reasons(
    old: Manifest,
    new: Manifest,
    *,
    is_derived: bool,
    changes_hands: bool = False,
    unedited: Manifest | None = None,
) -> tuple[Reason, ...]:
    """All causes, those of one field once.

    Args:
        old: The RayService as it is, rendered or as read.
        new: The RayService as rendered.
        is_derived: The worker groups follow from the apps.
        changes_hands: They were given before and are derived now, or the other way around.
        unedited: What this version renders of the pipeline as the cluster has it; None if that is not known.
    """
    if changes_hands and (names := [group["groupName"] for group in _groups(old)]) != [
        group["groupName"] for group in _groups(new)
    ]:
        how = "derived instead of given" if is_derived else "given instead of derived"
        remedy = f"give workers with the names {', '.join(names)} and the same Pods to keep the cluster"
        return (Reason("workers", f"the worker groups are {how}", remedy),)
    found = dict.fromkeys(_all(old, new, is_derived=is_derived))
    if unedited is None:
        return tuple(found)
    own = set(_all(unedited, new, is_derived=is_derived))
    return tuple(dict.fromkeys(reason if reason in own else _not_the_users(reason) for reason in found))


def _groups(manifest: Manifest) -> list[Manifest]:
    return list(manifest["spec"]["rayClusterConfig"].get("workerGroupSpecs") or [])


def _not_the_users(reason: Reason) -> Reason:
    said = f"{reason.field} differs in the cluster, though the pipeline's own field does not change"
    return Reason(reason.field, said, fields.OUR_CHANGE)


def _all(old: Manifest, new: Manifest, *, is_derived: bool) -> Iterator[Reason]:
    before, after = (cluster_spec_for_hash(manifest["spec"]["rayClusterConfig"]) for manifest in (old, new))
    rest, other = (_without_groups(cluster) for cluster in (before, after))
    for difference in differences(rest, other):
        yield _reason(f"{_PATH}.{difference.field}", fields.origin_of(difference.field, fields.CLUSTER))
    texts = frozenset(key for manifest in (old, new) for key in _texts(manifest))
    head = _Group("", "head", texts)
    for difference in _innermost(before.get(_HEAD, {}), after.get(_HEAD, {})):
        origin = _origin(difference, head, fields.HEAD)
        yield _reason(f"{_PATH}.{_HEAD}.{difference.field}", origin)
    yield from _of_groups(before.get(_GROUPS, []), after.get(_GROUPS, []), texts, is_derived=is_derived)


def _without_groups(cluster: Manifest) -> Manifest:
    return {key: part for key, part in cluster.items() if key not in (_HEAD, _GROUPS)}


def _texts(manifest: Manifest) -> Iterator[str]:
    for kind in ("labels", "annotations"):
        yield from manifest["metadata"].get(kind) or {}


def _of_groups(
    before: Sequence[Manifest], after: Sequence[Manifest], texts: frozenset[str], *, is_derived: bool
) -> Iterator[Reason]:
    old, new = ({str(group["groupName"]): group for group in groups} for groups in (before, after))
    yield from _of_names(old, new, is_derived=is_derived)
    found = {name: list(_innermost(old[name], new[name])) for name in old if name in new}
    for name, its_differences in found.items():
        group = _Group(name, "workerDefaults" if is_derived else f"workers[{name}]", texts)
        has_another_accelerator = any(it.field.startswith("rayStartParams") for it in its_differences)
        for difference in its_differences:
            if difference.field.startswith(_AFFINITY) and has_another_accelerator:
                continue
            origin = _origin(difference, group, fields.GROUP)
            is_common = len(found) > 1 and all(_has(others, difference) for others in found.values())
            if origin and (is_derived or (is_common and origin.derived.startswith("workerDefaults"))):
                origin = Origin(origin.derived or origin.field, origin.derived_remedy or origin.remedy)
            yield _reason(f"{_PATH}.{_GROUPS}[{name}].{difference.field}", origin, name)


def _has(found: Sequence[Difference], difference: Difference) -> bool:
    return any(other.field == difference.field for other in found)


def _innermost(before: Manifest, after: Manifest) -> Iterator[Difference]:
    """The differences, with one for each entry of a list or of an affinity that only one side has."""
    for difference in differences(before, after):
        given = difference.after if difference.before is None else difference.before
        only = difference.before is None or difference.after is None
        if only and isinstance(given, list) and all(isinstance(item, dict) and "name" in item for item in given):
            yield from (Difference(f"{difference.field}[{item['name']}]", None, item) for item in given)
        elif only and isinstance(given, dict) and difference.field.endswith((".affinity", ".labels", ".annotations")):
            yield from (Difference(f"{difference.field}.{key}", None, item) for key, item in given.items())
        else:
            yield difference


def _origin(difference: Difference, group: _Group, table: fields.Table) -> Origin | None:
    """Where a field of these Pods comes from; None if llmpipeline alone decides it."""
    if text := _TEXT.match(difference.field):
        if text[2] in group.texts:
            return Origin(f"metadata.{text[1]}[{text[2]}]", fields.UNDO)
    elif difference.field.startswith(_AFFINITY):
        if "spot" in json.dumps((difference.before, difference.after)):
            return fields.SPOT
    elif found := fields.origin_of(difference.field, table, fields.PODS):
        return found
    is_template = difference.field.startswith(_POD_TEMPLATE)
    derived = "workerDefaults.podTemplate" if group.name else ""
    return Origin(f"{group.holder}.podTemplate", fields.UNDO, derived) if is_template else None


def _reason(path: str, origin: Origin | None, group: str = "") -> Reason:
    if origin is None or not origin.field:
        return Reason(path, f"{path} changes", fields.OUR_CHANGE)
    field = origin.field.format(group=group)
    return Reason(field, f"{field} changes", origin.remedy)


def _of_names(old: Mapping[str, Any], new: Mapping[str, Any], *, is_derived: bool) -> Iterator[Reason]:
    """Worker groups that come, go, or stand elsewhere. Those that come after all others make no new cluster."""
    before, after = list(old), list(new)
    if after[: len(before)] == before:
        return
    if is_derived:
        change = f"{', '.join(before)} -> {', '.join(after) or 'none'}"
        yield Reason("apps", f"the apps need other worker groups ({change})", fields.GIVE_WORKERS)
        return
    gone, come = [name for name in before if name not in new], [name for name in after if name not in old]
    for name in list(gone):
        if heir := next((other for other in come if _is_renamed(old[name], new[other])), None):
            gone.remove(name)
            come.remove(heir)
            yield Reason("workers", f"worker group {name} is renamed to {heir}", fields.KEEP_NAME)
    for name in gone:
        yield Reason("workers", f"worker group {name} is removed", fields.SHRINK)
    kept = [name for name in before if name in new]
    last = max(map(after.index, kept), default=-1)
    for name in (name for name in come if after.index(name) < last):
        yield Reason("workers", f"worker group {name} is added before others", fields.APPEND)
    if [name for name in after if name in old] != kept:
        yield Reason("workers", "the order of the worker groups changes", fields.KEEP_ORDER)


def _is_renamed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return {**old, "groupName": ""} == {**new, "groupName": ""}
