"""The flow for one pipeline: read, compile, carry out, look, judge, write.

Level-based: it remembers nothing, and may be stopped between any two writes. A mistake ends in a condition; a
transient fault (a lost connection, a busy API server) is raised, and the queue tries again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from llmpipeline import conditions, desired
from llmpipeline.api.free_form import excess_of
from llmpipeline.api.parse import metadata_of
from llmpipeline.api.pipeline import Metadata
from llmpipeline.api.status import Status
from llmpipeline.cluster.apply import NOT_ACCEPTED, Applied, carry_out
from llmpipeline.cluster.client import Cluster, Unreadable
from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.cluster.look import look
from llmpipeline.cluster.ownership import own_rayservice
from llmpipeline.conditions import Verdict
from llmpipeline.desired import Desired, Rejected
from llmpipeline.kuberay.service import Observed
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
}
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
        verdict: How applying went; None if there was nothing to do.
        status: What the pipeline's status now says; None if there was nothing to do.
        news: What is new in it.
        uid: Of the pipeline.
    """

    versions: Mapping[Object, str] = field(default_factory=dict)
    retry_after: float | None = None
    is_open: bool = False
    verdict: Verdict | None = None
    status: Status | None = None
    news: tuple[News, ...] = ()
    uid: str = ""


def utc_now() -> str:
    """The time as the API server writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def reconcile(cluster: Cluster, key: Key, platform: Platform, clock: Callable[[], str] = utc_now) -> Outcome:
    """Brings what runs for one pipeline, and its status, to what its spec asks."""
    document = await cluster.pipeline(key)
    if isinstance(document, Unreadable):
        if cluster.huge_writes.locked():  # to wait here would keep a worker from the pipelines of others
            return Outcome(verdict=NOT_ACCEPTED, retry_after=_HUGE_AGAIN)
        async with cluster.huge_writes:
            return await _reject_unreadable(cluster, document, clock)
    if document is None or "deletionTimestamp" in document["metadata"]:
        return Outcome()  # owner references have the rest cleaned up
    try:
        return await _reconcile(cluster, document, platform, clock)
    except DEFECTS as error:
        await _report_defect(cluster, document, error, clock)
        raise


async def _reconcile(cluster: Cluster, document: Manifest, platform: Platform, clock: Callable[[], str]) -> Outcome:
    metadata = document["metadata"]
    key, uid = Key(metadata["namespace"], metadata["name"]), str(metadata["uid"])
    wanted = await _compiled(document, platform)
    applied = await carry_out(cluster, document, wanted)
    previous = Status.of(document)
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


async def _compiled(document: Manifest, platform: Platform) -> Desired | Rejected:
    """What is desired. The schema and the size of a document bound the work; that of a large one is a thread's."""
    if not excess_of(document.get("spec"), _SMALL_VALUES, _SMALL_CHARACTERS):
        return desired.compile(document, platform)
    try:
        async with asyncio.timeout(_COMPILE_SECONDS):
            return await asyncio.to_thread(desired.compile, document, platform)
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
    return Outcome(versions, retry_after, is_open, applied.verdict, status)


def _wait(observed: Observed, status: Status) -> float | None:
    """Seconds until a pipeline is looked at again, though nothing is heard of it; None if that is not necessary."""
    if observed.looked_at or observed.is_short:
        return _LOOK_AGAIN_SOON if observed.pods is None or observed.pods.silent else _LOOK_AGAIN
    return _LOOK_AGAIN if any(app.last_failure for app in status.apps) else None
