"""What a cluster has of a pipeline that is about to be applied. Nothing is written.

What may not be read, or is of a kind that the cluster does not have, is reported as such and fails nothing.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from llmpipeline import names
from llmpipeline.cluster.client import Cluster, Unreadable
from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.cluster.ownership import belongs_to, is_as_wanted, owner_of
from llmpipeline.desired import Desired
from llmpipeline.effect.companions import Companion, Fate
from llmpipeline.names import Key, Manifest, Object, object_of
from llmpipeline.render.metadata import owner_reference

_REFUSED = 403


@dataclass(frozen=True, slots=True)
class Preview:
    """What there is.

    Attributes:
        service: The RayService; None if there is none.
        document: The pipeline itself; None if there is none, or it cannot be read.
        companions: What becomes of the companion objects, of a pipeline that has a RayService.
    """

    service: Manifest | None
    document: Manifest | None = None
    companions: tuple[Companion, ...] = ()


async def preview(cluster: Cluster, desired: Desired) -> Preview:
    """Reads it.

    Raises:
        RequestRejected: RayServices may not be read.
        Unreachable: There is no answer.
    """
    key = Key(desired.metadata.namespace, desired.metadata.name)
    service = await cluster.rayservice(key)
    if service is None:
        return Preview(None)
    companions = [it async for it in _companions(cluster, desired, owner_of(service))]
    return Preview(service, await _document(cluster, key), tuple(companions))


async def _document(cluster: Cluster, key: Key) -> Manifest | None:
    try:
        found = await cluster.pipeline(key)
    except RequestRejected:
        return None
    return None if isinstance(found, Unreadable) else found


async def _companions(cluster: Cluster, desired: Desired, uid: str) -> AsyncIterator[Companion]:
    wanted = {object_of(manifest): manifest for manifest in desired.companions}
    for _, kind, _ in names.COMPANIONS:
        for name in names.companion_names(kind, desired.metadata.name):
            which = Object(kind, Key(desired.metadata.namespace, name))
            fate = await _fate(cluster, which, wanted.get(which), uid)
            if fate:
                yield Companion(kind, name, fate)


async def _fate(cluster: Cluster, which: Object, wanted: Manifest | None, uid: str) -> Fate | None:
    """What becomes of one of them; None if nothing does."""
    kind, key = which
    try:
        live = await cluster.read(kind, key)
        if live is None and wanted:
            return "is added" if await _is_known(cluster, kind, key.namespace) else "cannot be read"
    except RequestRejected:
        return "cannot be read"
    if live is None:
        return None
    if not belongs_to(live, uid):
        return "is not this pipeline's and stays as it is" if wanted else None
    if wanted is None:
        return "is removed"
    metadata = {**wanted["metadata"], "ownerReferences": [owner_reference(_pipeline(wanted), uid)]}
    return None if is_as_wanted(live, {**wanted, "metadata": metadata}) else "changes"


def _pipeline(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"][names.LABEL_PIPELINE])


async def _is_known(cluster: Cluster, kind: str, namespace: str) -> bool:
    """Whether the cluster has this kind; if that may not be asked, it is taken to have it."""
    try:
        return await cluster.knows(kind, namespace)
    except RequestRejected as rejected:
        if rejected.status != _REFUSED:
            raise
        return True
