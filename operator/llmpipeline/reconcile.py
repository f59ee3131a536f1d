"""The flow for one pipeline: read, parse, plan, render, apply, observe, say.

Level-based: it remembers nothing, and may be stopped between any two writes. Whatever is wrong ends in a condition;
what is passing (a lost connection, a busy API server) is raised, for the queue to try again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.apply import Applied, apply_all, ours, patch_live_cluster, remove_unwanted
from llmpipeline.cluster import Cluster, Key, Manifest, Rejected
from llmpipeline.effect import effect_of
from llmpipeline.names import Reason
from llmpipeline.observe import Observed, fault_of, observe
from llmpipeline.plan.plan import make_plan
from llmpipeline.problems import Problem
from llmpipeline.render.manifests import manifests
from llmpipeline.status import Asked, Edit, Verdict, make_status

# How long until it is tried again what no event will announce, in seconds.
_RETRY_AFTER: Final = {
    Reason.KUBERAY_MISSING: 10.0,
    Reason.FORBIDDEN: 60.0,
    Reason.NAME_TAKEN: 60.0,
    Reason.TERMINATING: 5.0,
    Reason.PARTLY_APPLIED: 60.0,
}
_PATCH_AGAIN: Final = 2.0
# A Ray cluster that comes up: what hinders it changes nothing in the RayService, so no event tells of it.
_LOOK_AGAIN: Final = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one reconciliation ended.

    Attributes:
        resource_version: Of the RayService afterwards, to tell our own writes from others'; empty where there is none.
        retry_after: Seconds until it should be tried again though no event comes; None: wait for one.
        verdict: How applying went; None where there was nothing to do.
    """

    resource_version: str = ""
    retry_after: float | None = None
    verdict: Verdict | None = None


def utc_now() -> str:
    """The time as the API server writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def reconcile(cluster: Cluster, key: Key, clock: Callable[[], str] = utc_now) -> Outcome:
    """Brings what runs for one pipeline, and its status, to what its spec asks."""
    document = await cluster.pipeline(key)
    if document is None or "deletionTimestamp" in document["metadata"]:
        return Outcome()  # owner references have the rest cleaned up
    uid, previous = document["metadata"]["uid"], document.get("status") or {}
    asked, wanted = _want(document)
    edit, patched = None, True
    if wanted:
        applied, edit = await _apply(cluster, key, document, wanted)
        if applied.live:
            patched, applied = await _patch(cluster, key, applied)
    else:
        # A spec that cannot work changes nothing: what runs goes on running, and its state is still told.
        applied = Applied(
            await ours(cluster, key, uid),
            Verdict("False", Reason.NOT_ACCEPTED, "The spec is not accepted; nothing was changed."),
        )
        asked = replace(asked, routes=_routes(applied.live))
    observed = await _observe(cluster, key, applied.live) if applied.live else None
    status = make_status(asked, applied.verdict, observed, edit, previous, clock())
    if status != previous:
        await _say(cluster, key, uid, status)
    version = applied.live["metadata"]["resourceVersion"] if applied.live else ""
    return Outcome(version, _retry_after(applied.verdict, observed, patched=patched), applied.verdict)


async def _observe(cluster: Cluster, key: Key, live: Manifest) -> Observed:
    """The RayService, and what its RayCluster says of Pods that do not start."""
    observed = observe(live)
    if not observed.awaited:
        return observed
    try:
        raycluster = await cluster.raycluster(Key(key.namespace, observed.awaited))
    except Rejected as rejected:
        if rejected.status != 403:
            raise
        return observed
    return replace(observed, fault=fault_of(raycluster)) if raycluster else observed


def _retry_after(verdict: Verdict, observed: Observed | None, *, patched: bool) -> float | None:
    if not patched:
        return _PATCH_AGAIN
    waiting = _LOOK_AGAIN if observed and observed.awaited else None
    return _RETRY_AFTER.get(verdict.reason, waiting)


async def _apply(
    cluster: Cluster, key: Key, document: Manifest, wanted: Sequence[Manifest]
) -> tuple[Applied, Edit | None]:
    """Applies all that is wanted. Where the spec changed since it was last looked at, says what that did."""
    uid, generation = document["metadata"]["uid"], document["metadata"]["generation"]
    seen = (document.get("status") or {}).get("observedGeneration")
    if seen == generation or generation == 1:
        return await apply_all(cluster, wanted), None
    before = await ours(cluster, key, uid)
    applied = await apply_all(cluster, wanted)
    await remove_unwanted(cluster, wanted, key, uid)
    if before is None or applied.live is None or applied.verdict.reason not in (Reason.APPLIED, Reason.PARTLY_APPLIED):
        return applied, None
    effect = effect_of(before, wanted[-1])
    around = "The RayService stays as it is; what is around it is as the spec says."
    return applied, Edit(effect.kind, around if effect.kind == "None" else effect.message)


async def _patch(cluster: Cluster, key: Key, applied: Applied) -> tuple[bool, Applied]:
    """Brings into the live Ray cluster what KubeRay leaves out; returns whether it is done, and how it went."""
    assert applied.live
    try:
        return await patch_live_cluster(cluster, applied.live, key), applied
    except Rejected as rejected:
        if rejected.status != 403:
            raise
        message = (
            f"KubeRay has the RayService; bounds and tolerations of a live cluster are not kept: {rejected.message}"
        )
        return True, Applied(applied.live, Verdict("False", Reason.FORBIDDEN, message))


def _routes(live: Manifest | None) -> dict[str, str]:
    """The apps that a RayService of ours runs, with their routes."""
    config = json.loads(live["spec"]["serveConfigV2"]) if live else {"applications": []}
    return {app["name"]: app["route_prefix"] for app in config["applications"]}


def _want(document: Manifest) -> tuple[Asked, list[Manifest]]:
    """What the pipeline asks for, and the manifests for it; none where the spec cannot work."""
    parsed = parse(document)
    if not isinstance(parsed, LLMPipeline):
        return _asked(document, {}, None, parsed), []
    plan = make_plan(parsed)
    if plan.problems:
        return _asked(document, {}, None, plan.problems), []
    routes = {app.name: app.route for app in parsed.spec.apps}
    asked = _asked(document, routes, plan.gpus, ())
    scaled = parsed.spec.scale.replicas if parsed.spec.scale else None
    return replace(asked, scaled=scaled, notes=plan.notes), manifests(parsed, plan)


def _asked(
    document: Manifest, routes: dict[str, str], gpus: tuple[int, int] | None, problems: Sequence[Problem]
) -> Asked:
    metadata: dict[str, Any] = document["metadata"]
    return Asked(metadata["name"], metadata["namespace"], metadata["generation"], routes, gpus, problems)


async def _say(cluster: Cluster, key: Key, uid: str, status: Manifest) -> None:
    try:
        await cluster.apply_status(key, uid, status)
    except Rejected as rejected:
        # Deleted, or replaced by a namesake, since it was read: its own event follows.
        if rejected.status not in (404, 409):
            raise
