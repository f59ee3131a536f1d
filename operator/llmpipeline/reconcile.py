"""The flow for one pipeline: read, parse, plan, render, apply, observe, say.

Level-based: it remembers nothing, and may be stopped between any two writes. Whatever is wrong ends in a condition;
what
is passing (a lost connection, a busy API server) is raised, for the queue to try again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.cluster import Cluster, Key, Manifest, Rejected
from llmpipeline.names import Reason
from llmpipeline.observe import observe
from llmpipeline.plan.plan import make_plan
from llmpipeline.problems import Problem
from llmpipeline.render.rayservice import rayservice
from llmpipeline.status import Asked, Verdict, make_status

# How long until it is tried again what no event will announce, in seconds.
_RETRY_AFTER: Final = {
    Reason.KUBERAY_MISSING: 10.0,
    Reason.FORBIDDEN: 60.0,
    Reason.NAME_TAKEN: 60.0,
    Reason.TERMINATING: 5.0,
}


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
    """Brings one pipeline's RayService and status to what its spec asks."""
    document = await cluster.pipeline(key)
    if document is None or "deletionTimestamp" in document["metadata"]:
        return Outcome()  # owner references have the rest cleaned up
    asked, manifest = _want(document)
    if manifest is None:
        # A spec that cannot work changes nothing: what runs goes on running, and its state is still told.
        live = await _ours(cluster, key, document["metadata"]["uid"])
        asked = replace(asked, routes=_routes(live))
        verdict = Verdict("False", Reason.NOT_ACCEPTED, "The spec is not accepted; nothing was changed.")
    else:
        live, verdict = await _apply(cluster, manifest)
    observed = observe(live) if live else None
    previous = document.get("status") or {}
    status = make_status(asked, verdict, observed, previous, clock())
    if status != previous:
        await _say(cluster, key, document["metadata"]["uid"], status)
    version = live["metadata"]["resourceVersion"] if live else ""
    return Outcome(version, _RETRY_AFTER.get(verdict.reason), verdict)


async def _ours(cluster: Cluster, key: Key, uid: str) -> Manifest | None:
    """The RayService of this pipeline; None where there is none, or it is somebody else's."""
    live = await cluster.rayservice(key)
    return live if live and _belongs_to(live, uid) else None


def _belongs_to(live: Manifest, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in live["metadata"].get("ownerReferences") or ())


def _owner(manifest: Manifest) -> str:
    """The UID of the pipeline that a rendered RayService names as its owner."""
    return str(manifest["metadata"]["ownerReferences"][0]["uid"])


def _routes(live: Manifest | None) -> dict[str, str]:
    """The apps that a RayService of ours runs, with their routes."""
    config = json.loads(live["spec"]["serveConfigV2"]) if live else {"applications": []}
    return {app["name"]: app["route_prefix"] for app in config["applications"]}


def _want(document: Manifest) -> tuple[Asked, Manifest | None]:
    """What the pipeline asks for, and the RayService for it; None where the spec cannot work."""
    parsed = parse(document)
    if not isinstance(parsed, LLMPipeline):
        return _asked(document, {}, None, parsed), None
    plan = make_plan(parsed)
    if plan.problems:
        return _asked(document, {}, None, plan.problems), None
    routes = {app.name: app.route for app in parsed.spec.apps}
    return _asked(document, routes, plan.gpus, ()), rayservice(parsed, plan)


def _asked(
    document: Manifest,
    routes: dict[str, str],
    gpus: tuple[int, int] | None,
    problems: tuple[Problem, ...] | list[Problem],
) -> Asked:
    metadata: dict[str, Any] = document["metadata"]
    return Asked(metadata["name"], metadata["namespace"], metadata["generation"], routes, gpus, problems)


async def _apply(cluster: Cluster, manifest: Manifest) -> tuple[Manifest | None, Verdict]:
    """Applies the RayService; returns it as it is afterwards, and how it went."""
    try:
        live = await _apply_or_take_back(cluster, manifest)
    except Rejected as rejected:
        return await _refused(cluster, manifest, rejected)
    if live is None:
        name = manifest["metadata"]["name"]
        message = f"A RayService {name} exists and belongs to somebody else; rename this pipeline or delete that one."
        return None, Verdict("False", Reason.NAME_TAKEN, message)
    if "deletionTimestamp" in live["metadata"]:
        message = "The RayService of a former pipeline of this name is still being deleted."
        return None, Verdict("False", Reason.TERMINATING, message)
    return live, Verdict("True", Reason.APPLIED, "KubeRay has the RayService.")


async def _apply_or_take_back(cluster: Cluster, manifest: Manifest) -> Manifest | None:
    """Applies without force; only where the RayService is ours are fields that others changed taken back.

    Returns None where it is somebody else's.
    """
    try:
        return await cluster.apply_rayservice(manifest)
    except Rejected as rejected:
        if rejected.status != 409:
            raise
    key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    live = await cluster.rayservice(key)
    if live and not _belongs_to(live, _owner(manifest)):
        return None
    return await cluster.apply_rayservice(manifest, force=True)


async def _refused(cluster: Cluster, manifest: Manifest, rejected: Rejected) -> tuple[Manifest | None, Verdict]:
    if rejected.status == 404:
        message = "This cluster has no RayService resource; install KubeRay 1.7 or newer."
        return None, Verdict("False", Reason.KUBERAY_MISSING, message)
    if rejected.status == 409:
        raise rejected  # somebody writes at the same time
    key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    live = await _ours(cluster, key, _owner(manifest))
    if rejected.status == 403:
        return live, Verdict("False", Reason.FORBIDDEN, f"The operator may not write here: {rejected.message}")
    return live, Verdict("False", Reason.REFUSED, rejected.message)


async def _say(cluster: Cluster, key: Key, uid: str, status: Manifest) -> None:
    try:
        await cluster.apply_status(key, uid, status)
    except Rejected as rejected:
        # Deleted, or replaced by a namesake, since it was read: its own event follows.
        if rejected.status not in (404, 409):
            raise
