"""Brings what was rendered for a pipeline into the cluster. It touches nothing of others, and leaves nothing over."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmpipeline import names
from llmpipeline.cluster import Cluster, Key, Manifest, Rejected
from llmpipeline.effect import live_patch
from llmpipeline.names import Reason
from llmpipeline.observe import observe
from llmpipeline.status import Verdict

_APPLIED = Verdict("True", Reason.APPLIED, "KubeRay has the RayService.")


@dataclass(frozen=True, slots=True)
class Applied:
    """The RayService as it is afterwards, None where it is not ours, and how it went."""

    live: Manifest | None
    verdict: Verdict


async def ours(cluster: Cluster, key: Key, uid: str) -> Manifest | None:
    """The RayService of the pipeline with this UID; None where there is none, or it is somebody else's."""
    live = await cluster.rayservice(key)
    return live if live and belongs_to(live, uid) else None


def belongs_to(live: Manifest, uid: str) -> bool:
    """Whether an object is owned by the pipeline with this UID."""
    return any(owner["uid"] == uid for owner in live["metadata"].get("ownerReferences") or ())


async def apply_all(cluster: Cluster, manifests: Sequence[Manifest]) -> Applied:
    """Applies what surrounds the RayService, then the RayService, which the last of them is.

    What surrounds it never keeps it from being applied: a pipeline serves without a monitor.
    """
    *surroundings, rayservice = manifests
    refused = [sentence for manifest in surroundings if (sentence := await _surrounding(cluster, manifest))]
    applied = await _rayservice(cluster, rayservice)
    if refused and applied.verdict.status == "True":
        message = f"KubeRay has the RayService; not applied: {' | '.join(refused)}"
        return Applied(applied.live, Verdict("False", Reason.PARTLY_APPLIED, message))
    return applied


async def remove_unwanted(cluster: Cluster, manifests: Sequence[Manifest], key: Key, uid: str) -> None:
    """Deletes what surrounded the RayService of a former spec, and no longer does."""
    wanted = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    for _, kind, _ in names.SURROUNDINGS:
        for name in (key.name, f"{key.name}-head") if kind == "NetworkPolicy" else (key.name,):
            if (kind, name) in wanted:
                continue
            there = Key(key.namespace, name)
            try:
                live = await cluster.read(kind, there)
                if live and belongs_to(live, uid):
                    await cluster.delete(kind, there, live["metadata"]["uid"])
            except Rejected as rejected:
                if rejected.status not in (403, 404, 409):  # what may not be read was not made by us
                    raise


async def patch_live_cluster(cluster: Cluster, live: Manifest, key: Key) -> bool:
    """Brings worker bounds and tolerations into the Ray cluster that serves, for KubeRay does not.

    Returns:
        Whether it is done; not, where the cluster changed meanwhile, and it has to be tried again.
    """
    observed = observe(live)
    if not observed.active_cluster or observed.upgrading:
        return True
    there = Key(key.namespace, observed.active_cluster)
    try:
        serving = await cluster.raycluster(there)
        operations = live_patch(live, serving) if serving else []
        if operations:
            await cluster.patch_raycluster(there, operations)
    except Rejected as rejected:
        if rejected.status in (409, 422):
            return False
        if rejected.status != 404:
            raise
    return True


async def _surrounding(cluster: Cluster, manifest: Manifest) -> str:
    """Applies one of them; says why it could not, or nothing."""
    kind = manifest["kind"]
    try:
        live = await _apply_or_take_back(cluster, manifest)
    except Rejected as rejected:
        if rejected.status == 409:
            raise  # somebody writes at the same time
        if rejected.status == 404:
            return f"{kind}: this cluster has no such resource; install it, or leave it out of the spec"
        return f"{kind}: {rejected.message}"
    if live is None:
        return f"{kind}: one named {manifest['metadata']['name']} exists and belongs to somebody else"
    return ""


async def _rayservice(cluster: Cluster, manifest: Manifest) -> Applied:
    try:
        live = await _apply_or_take_back(cluster, manifest)
    except Rejected as rejected:
        return await _refused(cluster, manifest, rejected)
    if live is None:
        name = manifest["metadata"]["name"]
        message = f"A RayService {name} exists and belongs to somebody else; rename this pipeline or delete that one."
        return Applied(None, Verdict("False", Reason.NAME_TAKEN, message))
    if "deletionTimestamp" in live["metadata"]:
        message = "The RayService of a former pipeline of this name is still being deleted."
        return Applied(None, Verdict("False", Reason.TERMINATING, message))
    return Applied(live, _APPLIED)


async def _apply_or_take_back(cluster: Cluster, manifest: Manifest) -> Manifest | None:
    """Applies without force; only where the object is ours are fields that others changed taken back.

    Returns None where it is somebody else's.
    """
    try:
        return await cluster.apply(manifest)
    except Rejected as rejected:
        if rejected.status != 409:
            raise
    key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    live = await cluster.read(manifest["kind"], key)
    if live and not belongs_to(live, _owner(manifest)):
        return None
    return await cluster.apply(manifest, force=True)


async def _refused(cluster: Cluster, manifest: Manifest, rejected: Rejected) -> Applied:
    if rejected.status == 404:
        message = "This cluster has no RayService resource; install KubeRay 1.7 or newer."
        return Applied(None, Verdict("False", Reason.KUBERAY_MISSING, message))
    if rejected.status == 409:
        raise rejected  # somebody writes at the same time
    key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    live = await ours(cluster, key, _owner(manifest))
    if rejected.status == 403:
        verdict = Verdict("False", Reason.FORBIDDEN, f"The operator may not write here: {rejected.message}")
        return Applied(live, verdict)
    return Applied(live, Verdict("False", Reason.REFUSED, rejected.message))


def _owner(manifest: Manifest) -> str:
    """The UID of the pipeline that a rendered manifest names as its owner."""
    return str(manifest["metadata"]["ownerReferences"][0]["uid"])
