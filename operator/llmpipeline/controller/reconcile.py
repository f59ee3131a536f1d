"""The flow for one pipeline: read, compile, carry out, look, judge, write.

Level-based: it remembers nothing, and may be stopped between any two writes. A mistake ends in a condition; a
transient fault (a lost connection, a busy API server) is raised, and the queue tries again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

from llmpipeline import conditions, desired, names
from llmpipeline.api.free_form import excess_of
from llmpipeline.api.parse import metadata_of
from llmpipeline.api.pipeline import Metadata
from llmpipeline.api.status import Status
from llmpipeline.classes.choose import Classes
from llmpipeline.classes.record import read
from llmpipeline.cluster import class_rollout
from llmpipeline.cluster.apply import NOT_ACCEPTED, Applied, Reading, carry_out
from llmpipeline.cluster.client import Cluster, Unreadable
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.kept_classes import Read
from llmpipeline.cluster.look import look
from llmpipeline.cluster.ownership import annotation, belongs_to, own_rayservice
from llmpipeline.conditions import Verdict
from llmpipeline.desired import Desired, Rejected
from llmpipeline.kuberay.service import Observed, observe
from llmpipeline.names import Key, Manifest, Object, object_of
from llmpipeline.problems import Problem
from llmpipeline.render.platform import Platform
from llmpipeline.status.judge import judge, with_defect
from llmpipeline.status.news import News, news_of
from llmpipeline.status.reconciling import settles_in
from llmpipeline.status.situation import Situation

# How long until it is tried again what no event will announce, in seconds. It doubles each time, up to five minutes.
_RETRY_AFTER: Final = {
    conditions.Applied.KUBERAY_MISSING: 10.0,
    conditions.Applied.FORBIDDEN: 15.0,
    conditions.Applied.NAME_TAKEN: 15.0,
    conditions.Applied.TERMINATING: 5.0,
    conditions.Applied.PARTLY_APPLIED: 15.0,
    conditions.Applied.NETWORK_POLICY_FAILED: 15.0,
    # It is woken when its turn comes; this is for what the one before it does not say, like that it was deleted.
    conditions.Applied.CLASS_ROLLOUT_WAITING: 15.0,
}
Rollout = Literal["", "waits", "runs", "ended"]
_UNMARK_AFTER: Final = 1.0
_TURN_SECONDS: Final = 20.0
_PATCH_AGAIN: Final = 2.0
# A spec of this size is compiled in some milliseconds, without a thread.
_SMALL_VALUES: Final = 800
_SMALL_CHARACTERS: Final = 10_000
_COMPILE_SECONDS: Final = 20.0
# What neither the network nor the API server raises.
DEFECTS: Final = (LookupError, TypeError, AttributeError, ValueError, AssertionError, RecursionError)
# Something is awaited. Changes of Pods are heard of; their events are not, nor are Pods that may not be read.
_LOOK_AGAIN: Final = 120.0
_LOOK_AGAIN_SOON: Final = 15.0
# So soon a huge pipeline comes back that found another one being written.
_HUGE_AGAIN: Final = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one reconciliation ended.

    Attributes:
        versions: Of the RayService and its companion objects afterwards, by which our own writes are known.
        retry_after: Seconds until it should be tried again though no event comes; None: wait for one.
        is_open: Something is awaited or fails, so its Ray cluster and Pods were looked at.
        rollout: A change of its class waits for others, runs, or ended just now; empty: there is none.
        verdict: How applying went; None if there was nothing to do.
        status: What the pipeline's status now says; None if there was nothing to do.
        news: What is new in it.
        uid: Of the pipeline.
    """

    versions: Mapping[Object, str] = field(default_factory=dict)
    retry_after: float | None = None
    is_open: bool = False
    rollout: Rollout = ""
    verdict: Verdict | None = None
    status: Status | None = None
    news: tuple[News, ...] = ()
    uid: str = ""


def utc_now() -> str:
    """The time as the API server writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def reconcile(
    cluster: Cluster,
    key: Key,
    platform: Platform,
    clock: Callable[[], str] = utc_now,
    namespaces: Sequence[str | None] = (None,),
    classes: Read | None = None,
) -> Outcome:
    """Brings what runs for one pipeline, and its status, to what its spec asks.

    Args:
        cluster: The cluster.
        key: The pipeline.
        platform: What administrators decided for all pipelines.
        clock: Says the time.
        namespaces: Where there are pipelines that a change of a class reaches too; None: everywhere.
        classes: Reads the classes; None: from the cluster, each time.
    """
    document = await cluster.pipeline(key)
    if isinstance(document, Unreadable):
        if cluster.huge_writes.locked():  # to wait here would keep a worker from the pipelines of others
            return Outcome(verdict=NOT_ACCEPTED, retry_after=_HUGE_AGAIN)
        async with cluster.huge_writes:
            return await _reject_unreadable(cluster, document, clock)
    if document is None or "deletionTimestamp" in document["metadata"]:
        return Outcome()  # owner references have the rest cleaned up
    try:
        found = await _classes(classes or cluster.classes)
        return await _reconcile(cluster, document, platform, clock, namespaces, found)
    except DEFECTS as error:
        await _report_defect(cluster, document, error, clock)
        raise


async def _reconcile(
    cluster: Cluster,
    document: Manifest,
    platform: Platform,
    clock: Callable[[], str],
    namespaces: Sequence[str | None],
    classes: Classes,
) -> Outcome:
    metadata = document["metadata"]
    key, uid = Key(metadata["namespace"], metadata["name"]), str(metadata["uid"])
    previous = Status.of(document)
    wanted, applied = await _carried_out(cluster, document, platform, previous, namespaces, classes)
    observed = await look(cluster, applied.service, was_ready=previous.is_ready) if applied.service else None
    now = clock()
    was_settled = previous.is_settled(metadata["generation"])
    situation = Situation(wanted, applied.verdict, observed, applied.last_edit, now, was_settled)
    status = judge(situation, previous, now)
    if status != previous:
        await write(cluster, key, uid, metadata["resourceVersion"], status)
    outcome = _outcome(applied, observed, status)
    if observed and (seconds := settles_in(situation, observed)):
        outcome = replace(outcome, retry_after=min(seconds, outcome.retry_after or seconds))
    return replace(outcome, news=news_of(previous, status), uid=uid)


async def _carried_out(
    cluster: Cluster,
    document: Manifest,
    platform: Platform,
    previous: Status,
    namespaces: Sequence[str | None],
    classes: Classes,
) -> tuple[Desired | Rejected, Applied]:
    """What is desired, and how applying it went. A class that rolls clusters over waits until it is their turn."""
    wanted = await _compiled(document, platform, classes)
    if not isinstance(wanted, Desired):
        return wanted, await carry_out(cluster, document, wanted)
    reading = await _read(cluster, document)
    bring = partial(carry_out, cluster, document, reading=reading)
    live = reading.found if reading else None
    if live is None or not belongs_to(live, str(document["metadata"]["uid"])):
        return wanted, await bring(wanted)
    record = read(annotation(live, names.ANNOTATION_CLASS))
    if class_rollout.is_same(record, wanted.used):
        return wanted, await bring(wanted, class_rollout.kept_mark(live, wanted, previous))
    before = await _compiled(document, platform, record.classes)
    rolls = class_rollout.rolls_over(before, wanted, live)
    if (rolls or classes.unread) and (gone := class_rollout.without_its_class(record, wanted, classes.unread)):
        return gone, await bring(gone)
    # A pipeline that does not serve has nothing to lose, and may be waiting for just this change.
    if not (rolls and class_rollout.is_of_administrators(record, wanted.used) and observe(live).ready):
        return wanted, await bring(wanted, class_rollout.kept_mark(live, wanted, previous))
    return await _in_turn(cluster, document, wanted, before, live, previous, namespaces)


async def _in_turn(
    cluster: Cluster,
    document: Manifest,
    wanted: Desired,
    before: Desired | Rejected,
    live: Manifest,
    previous: Status,
    namespaces: Sequence[str | None],
) -> tuple[Desired | Rejected, Applied]:
    """Applies what is wanted if no other pipeline is being changed, or else the spec with the class as it was."""
    async with _alone(cluster):
        name, is_let_in = wanted.used.name, class_rollout.mark_of(live) == wanted.used.name
        blocked_by = None if is_let_in else await class_rollout.blocker(cluster, name, _key_of(document), namespaces)
        if not blocked_by:
            return wanted, await carry_out(cluster, document, wanted, class_rollout.new_mark(live, previous))
    verdict = class_rollout.waiting(name, blocked_by)
    if not isinstance(before, Desired) or class_rollout.is_in_doubt(before, live):
        return wanted, Applied(live, verdict)
    applied = await carry_out(cluster, document, before)
    return before, replace(applied, verdict=verdict) if applied.verdict.truth == "True" else applied


@asynccontextmanager
async def _alone(cluster: Cluster) -> AsyncIterator[None]:
    """Nobody else looks whose turn it is. Who has to wait long comes back: a worker is for all pipelines."""
    try:
        async with asyncio.timeout(_TURN_SECONDS):
            await cluster.rollouts.acquire()
    except TimeoutError as error:
        raise Unreachable("another pipeline of a class that changed takes long to be applied") from error
    try:
        yield
    finally:
        cluster.rollouts.release()


def _key_of(document: Manifest) -> Key:
    return Key(document["metadata"]["namespace"], document["metadata"]["name"])


async def _classes(read: Read) -> Classes:
    """The classes as they are now, or why they may not be read: then only pipelines that need none are accepted."""
    try:
        return Classes(await read())
    except RequestRejected as rejected:
        return Classes(unread=rejected.message)


async def _read(cluster: Cluster, document: Manifest) -> Reading | None:
    """What stands under the name of the pipeline's RayService; None if it may not be read: applying it says why."""
    try:
        return Reading(await cluster.rayservice(_key_of(document)))
    except RequestRejected:
        return None


async def _compiled(document: Manifest, platform: Platform, classes: Classes) -> Desired | Rejected:
    """What is desired. The schema and the size of a document bound the work; that of a large one is a thread's."""
    if not excess_of(document.get("spec"), _SMALL_VALUES, _SMALL_CHARACTERS):
        return desired.compile(document, platform, classes)
    try:
        async with asyncio.timeout(_COMPILE_SECONDS):
            return await asyncio.to_thread(desired.compile, document, platform, classes)
    except TimeoutError:
        message = f"planning it takes more than {_COMPILE_SECONDS:.0f} s"
        return Rejected(metadata_of(document), (Problem(("spec",), message, "make it smaller"),))


async def _reject_unreadable(cluster: Cluster, found: Unreadable, clock: Callable[[], str]) -> Outcome:
    """A pipeline whose content is not even decoded is rejected like any other mistake; what runs goes on running."""
    metadata = found.metadata
    if metadata.deleted:
        return Outcome()
    key, uid = metadata.key, metadata.uid
    described = Metadata(name=key.name, namespace=key.namespace, uid=uid, generation=metadata.generation)
    rejected = Rejected(described, (Problem((), found.why, "make it smaller and flatter"),))
    applied = Applied(await own_rayservice(cluster, key, uid), NOT_ACCEPTED)
    observed = await look(cluster, applied.service, was_ready=True) if applied.service else None
    status = judge(Situation(rejected, applied.verdict, observed), Status(), clock())
    await write(cluster, key, uid, metadata.version, status)
    return _outcome(applied, observed, status)


async def _report_defect(cluster: Cluster, document: Manifest, error: Exception, clock: Callable[[], str]) -> None:
    """A defect of the operator is said where the user looks, so that the pipeline is not merely silent."""
    metadata, previous = document["metadata"], Status.of(document)
    message = f"The operator has a defect ({type(error).__name__}), and retries. Its log has more; please report it."
    verdict = Verdict(conditions.Applied.INTERNAL_ERROR, message)
    status = with_defect(previous, verdict, metadata["generation"], clock())
    if status != previous:
        key = Key(metadata["namespace"], metadata["name"])
        await write(cluster, key, metadata["uid"], metadata["resourceVersion"], status)


async def write(cluster: Cluster, key: Key, uid: str, version: str, status: Status) -> None:
    """Writes the status of the pipeline that was read. If it has changed since, 409 is raised."""
    try:
        await cluster.apply_status(key, uid, version, status.written())
    except RequestRejected as rejected:
        if rejected.status != 404:  # it was deleted
            raise


def _outcome(applied: Applied, observed: Observed | None, status: Status) -> Outcome:
    versions = dict(applied.companions)
    if applied.service:
        versions[object_of(applied.service)] = applied.service["metadata"]["resourceVersion"]
    waiting = _wait(observed, status) if observed else None
    retry_after = _RETRY_AFTER.get(applied.verdict.reason, waiting) if applied.settled else _PATCH_AGAIN
    is_open = observed is not None and not status.is_ready
    rollout = _rollout(applied)
    if rollout == "runs" and status.is_ready:  # no event comes of our own status
        retry_after = min(_UNMARK_AFTER, retry_after or _UNMARK_AFTER)
    return Outcome(versions, retry_after, is_open, rollout, applied.verdict, status)


def _rollout(applied: Applied) -> Rollout:
    if applied.verdict.reason == conditions.Applied.CLASS_ROLLOUT_WAITING:
        return "waits"
    if applied.service and class_rollout.mark_of(applied.service):
        return "runs"
    return "ended" if applied.ended_rollout else ""


def _wait(observed: Observed, status: Status) -> float | None:
    """Seconds until a pipeline is looked at again, though nothing is heard of it; None if that is not necessary."""
    if observed.looked_at or observed.is_short:
        return _LOOK_AGAIN_SOON if observed.pods is None or observed.pods.silent else _LOOK_AGAIN
    if observed.gateway_fault:
        return _LOOK_AGAIN_SOON
    return _LOOK_AGAIN if any(app.last_failure for app in status.apps) else None
