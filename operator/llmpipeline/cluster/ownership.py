"""Whose an object is, and the writes that only touch what is ours.

An object belongs to a pipeline if its controller owner reference has the pipeline's UID: never because of its name,
its labels or its field managers. A RayCluster belongs to a pipeline's RayService in the same way.

So every write says what it was decided on. Creating fails if there is something; a change names the UID that was read
as ours; a deletion names UID and resourceVersion. What somebody else makes, takes over or deletes between the read and
the write is a conflict (409), and the pipeline is reconciled once more.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmpipeline import names
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.cluster.metadata import Metadata
from llmpipeline.names import Key, Manifest, Object, object_of

Notes = Callable[[], Mapping[str, str]]


@dataclass
class NotOursError(Exception):
    """There is an object of this name, and it does not belong to the pipeline.

    Attributes:
        kind: Its kind.
        name: Its name.
        owner: Whose it is, in words.
        former: It belongs to a former pipeline of this name, and the garbage collector is about to delete it.
    """

    kind: str
    name: str
    owner: str
    former: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.owner}"


def belongs_to(live: Manifest, uid: str) -> bool:
    """Whether the controller of an object has this UID."""
    controller = _controller(live)
    return bool(uid) and controller is not None and controller.get("uid") == uid


def pipeline_of(metadata: Metadata) -> str | None:
    """The name of the pipeline that controls an object; None if none does."""
    owner = metadata.controller
    return owner.name if owner and _is_pipeline(owner.api_version, owner.kind) else None


async def own_rayservice(cluster: Cluster, key: Key, uid: str) -> Manifest | None:
    """The RayService of the pipeline with this UID; None if there is none, or it is somebody else's."""
    live = await cluster.rayservice(key)
    return live if live and belongs_to(live, uid) else None


async def own_raycluster(cluster: Cluster, service: Manifest, name: str) -> Manifest | None:
    """The RayCluster of this name if it belongs to the RayService.

    Args:
        cluster: The cluster.
        service: The RayService as read.
        name: As the RayService's status has it. A user who may write that status could name any.
    """
    metadata = service["metadata"]
    if not names.is_object_name(name):
        return None
    live = await cluster.raycluster(Key(metadata["namespace"], name))
    return live if live and belongs_to(live, metadata["uid"]) else None


async def bring(cluster: Cluster, manifest: Manifest) -> Manifest:
    """Creates an object of a pipeline, or brings it to its manifest. Returns it; raises as `bring_to` does."""
    kind, key = object_of(manifest)
    return await bring_to(cluster, await cluster.read(kind, key), manifest, dict)


async def bring_to(cluster: Cluster, live: Manifest | None, manifest: Manifest, notes: Notes) -> Manifest:
    """Creates an object, or brings it to its manifest. Returns it. What is as it should be is not written.

    Args:
        cluster: The cluster.
        live: The object as read; None if there is none.
        manifest: As it should be.
        notes: Returns annotations that it should have too. What is somebody else's is not looked at for them.

    Raises:
        NotOursError: It does not belong to the pipeline that the manifest names as owner.
        RequestRejected: The API server rejects it. With 409 somebody wrote at the same time.
        Unreachable: There was no answer.
    """
    kind, key = object_of(manifest)
    if live and not belongs_to(live, _owner_uid(manifest)):
        raise NotOursError(kind, key.name, _whose(live), former=_is_of_a_former(live, manifest))
    wanted = _annotated(manifest, notes())
    if live is None:
        return await cluster.create(wanted)
    # The digest says that this manifest was applied last, so nothing is left over of an earlier one. And nobody has
    # changed a field of it since.
    if _is_within(wanted, live):
        return live
    return await cluster.change(wanted, live["metadata"]["uid"])


def is_as_wanted(live: Manifest, manifest: Manifest) -> bool:
    """Whether `bring` would leave an object of a pipeline as it is."""
    return _is_within(_annotated(manifest, {}), live)


def owner_of(live: Manifest) -> str:
    """The UID of the pipeline that controls an object; empty if none does."""
    owner = _controller(live)
    is_ours = owner is not None and _is_pipeline(str(owner.get("apiVersion", "")), str(owner.get("kind")))
    return str(owner.get("uid", "")) if owner and is_ours else ""


async def remove(cluster: Cluster, which: Object, uid: str) -> None:
    """Deletes an object if it belongs to the pipeline with this UID, and otherwise does nothing."""
    kind, key = which
    try:
        live = await cluster.read(kind, key)
        if live and belongs_to(live, uid):
            await cluster.delete(kind, key, live["metadata"]["uid"], live["metadata"]["resourceVersion"])
    except RequestRejected as rejected:
        if rejected.status != 404:
            raise


def annotation(live: Manifest, name: str) -> str:
    """An annotation of an object; empty if it has none of this name."""
    return str((live["metadata"].get("annotations") or {}).get(name, ""))


def _annotated(manifest: Manifest, notes: Mapping[str, str]) -> Manifest:
    annotations = {**manifest["metadata"].get("annotations", {}), names.ANNOTATION_DIGEST: _digest(manifest), **notes}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def _digest(manifest: Manifest) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_within(wanted: Any, live: Any) -> bool:
    """Whether every field that is wanted has its value. The API server and others add fields of their own."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            key in live and _is_within(value, live[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return isinstance(live, list) and len(wanted) == len(live) and all(map(_is_within, wanted, live))
    return bool(wanted == live)


def _owner_uid(manifest: Manifest) -> str:
    """The UID of the pipeline that a rendered manifest names as its owner."""
    return str(manifest["metadata"]["ownerReferences"][0]["uid"])


def _controller(live: Manifest) -> Manifest | None:
    owners = live["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def _is_pipeline(api_version: str, kind: str) -> bool:
    return api_version.partition("/")[0] == names.GROUP and kind == names.KIND


def _whose(live: Manifest) -> str:
    controller = _controller(live)
    if controller is None:
        return "exists and has no controller, so it belongs to the user who made it"
    return f"exists and belongs to {controller.get('kind')} {controller.get('name')}"


def _is_of_a_former(live: Manifest, manifest: Manifest) -> bool:
    controller = _controller(live)
    owner = manifest["metadata"]["ownerReferences"][0]
    if controller is None or controller.get("name") != owner["name"]:
        return False
    return _is_pipeline(str(controller.get("apiVersion", "")), str(controller.get("kind")))
