"""Brings what is desired for a pipeline into the cluster, and deletes what is no longer desired."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

from pydantic import ValidationError

from llmpipeline import conditions, names
from llmpipeline.api.status import LastEdit
from llmpipeline.classes.record import written
from llmpipeline.cluster.class_rollout import mark_of
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.ownership import (
    NotOursError,
    annotation,
    bring,
    bring_to,
    own_raycluster,
    own_rayservice,
    remove,
)
from llmpipeline.conditions import Verdict
from llmpipeline.desired import Desired, Rejected
from llmpipeline.effect import effect_of
from llmpipeline.kuberay.live_patch import live_patch
from llmpipeline.kuberay.release import REQUIRED
from llmpipeline.kuberay.service import observe
from llmpipeline.names import Key, Manifest, Object, object_of

_APPLIED: Final = Verdict(conditions.Applied.APPLIED, "The RayService is applied.")
NOT_ACCEPTED: Final = Verdict(conditions.Applied.NOT_ACCEPTED, "The spec is not accepted; nothing was changed.")
_COMPANIONS_ALONE: Final = "The RayService did not change; its companion objects were updated."
_LONGEST: Final = 4096
# Without it no Ray Pod may start.
_REQUIRED_FIRST: Final = "NetworkPolicy"


@dataclass(frozen=True, slots=True)
class Applied:
    """How it went.

    Attributes:
        service: The RayService as it is afterwards; None if this pipeline has none.
        verdict: The condition.
        last_edit: What the last change of the spec did; None if nothing is known of one.
        settled: Whether the live Ray cluster has what KubeRay does not bring into it; if not, the operator tries again.
        companions: The resourceVersions of the companion objects afterwards.
        ended_rollout: The mark of a change of the class was taken from the RayService.
    """

    service: Manifest | None
    verdict: Verdict
    last_edit: LastEdit | None = None
    settled: bool = True
    companions: Mapping[Object, str] = field(default_factory=dict)
    ended_rollout: bool = False


class _Failure(NamedTuple):
    """A companion object that is not as it should be: its kind, and why in a sentence."""

    kind: str
    sentence: str


class Reading(NamedTuple):
    """What was just read under the name of a pipeline's RayService, no matter who owns it; None if there is nothing."""

    found: Manifest | None


async def carry_out(
    cluster: Cluster,
    document: Manifest,
    desired: Desired | Rejected,
    mark: str = "",
    *,
    reading: Reading | None = None,
) -> Applied:
    """Brings the cluster to what is desired for the pipeline of this document.

    A spec that cannot work changes nothing: what runs goes on running.

    Args:
        cluster: The cluster.
        document: The pipeline as read.
        desired: What is desired.
        mark: What the RayService says while a change of the class is brought to it (`class_rollout`); empty: nothing.
        reading: The RayService, so that it is not read twice.
    """
    metadata = document["metadata"]
    key, uid = Key(metadata["namespace"], metadata["name"]), str(metadata["uid"])
    if not isinstance(desired, Desired):
        return Applied(await own_rayservice(cluster, key, uid), NOT_ACCEPTED)
    failed: list[_Failure] = []
    versions = await _bring_companions(cluster, desired.companions, failed)
    without_policy = [failure for failure in failed if failure.kind == _REQUIRED_FIRST]
    if without_policy:
        message = f"No Ray Pod may start without its network policy: {_sentences(without_policy)}"
        verdict = Verdict(conditions.Applied.NETWORK_POLICY_FAILED, message)
        return Applied(await own_rayservice(cluster, key, uid), verdict, companions=versions)
    applied = await _rayservice(cluster, _marked(desired, mark), failed, reading)
    if applied.service:
        applied = await _patch_live_cluster(cluster, applied)
    if failed and applied.verdict == _APPLIED:
        message = f"The RayService is applied, but not: {_sentences(failed)}"
        applied = replace(applied, verdict=Verdict(conditions.Applied.PARTLY_APPLIED, message))
    return replace(applied, companions=versions)


def _marked(desired: Desired, mark: str) -> Desired:
    if not mark:
        return desired
    metadata = desired.service["metadata"]
    marked = {
        **metadata,
        "labels": {**metadata["labels"], names.LABEL_ROLLOUT: desired.used.name},
        "annotations": {**metadata.get("annotations", {}), names.LABEL_ROLLOUT: mark},
    }
    return replace(desired, service={**desired.service, "metadata": marked})


def _sentences(failed: Sequence[_Failure]) -> str:
    return " | ".join(failure.sentence for failure in failed)


async def _bring_companions(
    cluster: Cluster, manifests: Sequence[Manifest], failed: list[_Failure]
) -> dict[Object, str]:
    """Applies each of them, and adds those that fail to `failed`. Returns the versions of the others."""
    versions: dict[Object, str] = {}
    for manifest in manifests:
        kind = manifest["kind"]
        with _collected(failed, kind, kind):
            live = await bring(cluster, manifest)
            versions[object_of(live)] = live["metadata"]["resourceVersion"]
    return versions


@contextmanager
def _collected(failed: list[_Failure], kind: str, what: str) -> Iterator[None]:
    """One companion that fails keeps nothing else from being done. A conflict is raised: somebody writes just now."""
    try:
        yield
    except NotOursError as error:
        failed.append(_Failure(kind, f"{error}; rename this pipeline, or delete that {kind}"))
    except RequestRejected as rejected:
        if rejected.status == 409:
            raise
        missing = "this cluster has no such resource; install it, or leave it out of the spec"
        failed.append(_Failure(kind, f"{what}: {missing if rejected.status == 404 else rejected.message}"))
    except Unreachable as error:  # a webhook that is down, say
        failed.append(_Failure(kind, f"{what}: {error}"))


async def _rayservice(cluster: Cluster, desired: Desired, failed: list[_Failure], reading: Reading | None) -> Applied:
    """Applies the RayService, and before it deletes the companions that the spec no longer asks for."""
    kind, key = object_of(desired.service)
    try:
        live = reading.found if reading else await cluster.read(kind, key)
        if not (_is_of_this_generation(live, desired) and _is_complete(live)):
            await _remove_unwanted(cluster, desired, failed)
        notes = partial(_notes, live, desired, is_complete=not failed)
        service = await bring_to(cluster, live, desired.service, notes)
    except NotOursError as error:
        return Applied(None, _not_ours(error))
    except RequestRejected as rejected:
        return await _rejected(cluster, desired, rejected)
    if "deletionTimestamp" in service["metadata"]:
        message = "The RayService is being deleted; the operator creates a new one afterwards."
        return Applied(None, Verdict(conditions.Applied.TERMINATING, message))
    ended = live is not None and mark_of(live) != mark_of(service)
    return Applied(service, _APPLIED, _recorded_edit(service, desired.metadata.generation), ended_rollout=ended)


def _is_of_this_generation(live: Manifest | None, desired: Desired) -> bool:
    """Whether a RayService is of this generation of its pipeline; one that must still be made, of the first."""
    if live is None:
        return desired.metadata.generation == 1
    return annotation(live, names.ANNOTATION_GENERATION) == str(desired.metadata.generation)


def _is_complete(live: Manifest | None) -> bool:
    return live is None or annotation(live, names.ANNOTATION_COMPLETE) == "true"


def _not_ours(error: NotOursError) -> Verdict:
    if error.former:
        message = "The RayService of a former pipeline of this name is still being deleted."
        return Verdict(conditions.Applied.TERMINATING, message)
    return Verdict(conditions.Applied.NAME_TAKEN, f"{error}; rename this pipeline, or delete that RayService.")


def _notes(live: Manifest | None, desired: Desired, *, is_complete: bool) -> dict[str, str]:
    """What is written with a RayService.

    The effect of a change is known with the change, or neither is. And whether the companions are as they should be is
    known, so that what failed is tried again after any crash.
    """
    notes = {
        names.ANNOTATION_GENERATION: str(desired.metadata.generation),
        names.ANNOTATION_COMPLETE: str(is_complete).lower(),
    }
    used = written(desired.used)
    if used or (live and annotation(live, names.ANNOTATION_CLASS)):
        notes[names.ANNOTATION_CLASS] = used
    edit = _edit(live, desired) if live else None
    return {**notes, names.ANNOTATION_LAST_EDIT: edit.model_dump_json(by_alias=True)} if edit else notes


def _edit(live: Manifest, desired: Desired) -> LastEdit | None:
    """What the last change of the spec did or, before it is applied, will do."""
    generation = desired.metadata.generation
    recorded = _recorded_edit(live, generation)
    if (recorded and recorded.observed_generation == generation) or _is_of_this_generation(live, desired):
        return recorded  # drift is repaired, a companion is tried again, or another operator renders it otherwise
    effect = effect_of(live, desired.service)
    message = effect.message if effect.fields else _COMPANIONS_ALONE
    return LastEdit(effect=effect.kind, message=message[:_LONGEST], observed_generation=generation)


def _recorded_edit(live: Manifest, generation: int) -> LastEdit | None:
    """What stands on the RayService. It is input: who may change the RayService may have written anything."""
    try:
        edit = LastEdit.model_validate_json(annotation(live, names.ANNOTATION_LAST_EDIT))
    except ValidationError:
        return None
    return edit if 0 < edit.observed_generation <= generation else None


async def _rejected(cluster: Cluster, desired: Desired, rejected: RequestRejected) -> Applied:
    if rejected.status == 404:
        message = f"This cluster has no RayService resource; install {REQUIRED}."
        return Applied(None, Verdict(conditions.Applied.KUBERAY_MISSING, message))
    if rejected.status == 409:
        raise rejected  # somebody writes at the same time
    metadata = desired.metadata
    live = await own_rayservice(cluster, Key(metadata.namespace, metadata.name), metadata.uid or "")
    if rejected.status == 403:
        message = f"The operator may not write here: {rejected.message}"
        return Applied(live, Verdict(conditions.Applied.FORBIDDEN, message))
    return Applied(live, Verdict(conditions.Applied.REJECTED, rejected.message))


async def _remove_unwanted(cluster: Cluster, desired: Desired, failed: list[_Failure]) -> None:
    """Deletes the companions of a former spec that are no longer wanted, and adds those that fail to `failed`."""
    metadata = desired.metadata
    wanted = {object_of(manifest) for manifest in desired.companions}
    for _, kind, _ in names.COMPANIONS:
        for name in names.companion_names(kind, metadata.name):
            unwanted = Object(kind, Key(metadata.namespace, name))
            if unwanted not in wanted:
                with _collected(failed, kind, f"{kind}, which is no longer wanted"):
                    await remove(cluster, unwanted, metadata.uid or "")


async def _patch_live_cluster(cluster: Cluster, applied: Applied) -> Applied:
    """Brings worker bounds and tolerations into the Ray cluster that serves, because KubeRay does not."""
    assert applied.service
    try:
        return replace(applied, settled=await _patched(cluster, applied.service))
    except RequestRejected as rejected:
        if rejected.status != 403:
            raise
        message = (
            f"The RayService is applied, but not worker bounds and tolerations of the live cluster: {rejected.message}"
        )
        return replace(applied, verdict=Verdict(conditions.Applied.FORBIDDEN, message))


async def _patched(cluster: Cluster, service: Manifest) -> bool:
    """Whether it is done; not, if the cluster changed in between, and it has to be tried again."""
    observed = observe(service)
    if not observed.active_cluster or observed.upgrading:
        return True
    try:
        serving = await own_raycluster(cluster, service, observed.active_cluster)
        operations = live_patch(service, serving) if serving else []
        if operations:
            namespace = service["metadata"]["namespace"]
            await cluster.patch_raycluster(Key(namespace, observed.active_cluster), operations)
    except RequestRejected as rejected:
        if rejected.status in (409, 422):
            return False
        if rejected.status != 404:
            raise
    return True
