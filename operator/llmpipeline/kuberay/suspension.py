"""Who suspends a RayService: this operator, as `spec.suspend` of the pipeline asks, or somebody else, like Kueue.

Kueue suspends a RayService until it admits it: by `spec.suspend` says its documentation, by
`spec.rayClusterConfig.suspend` does its code (August 2026). This operator never sets the latter, and of the former only
what it owns goes away when it leaves the field out. So what others suspend stays suspended until they end it.
"""

from collections.abc import Iterator
from typing import Any, Final

from llmpipeline import names
from llmpipeline.names import Manifest

KUEUE: Final = "Kueue"
# The label by which Kueue knows what to queue.
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
_OF_SERVICE: Final = ("f:spec", "f:suspend")
_OF_CLUSTER: Final = ("f:spec", "f:rayClusterConfig", "f:suspend")


def suspended_by(rayservice: Manifest) -> str:
    """Who else suspends a RayService: Kueue or a field manager; empty if nobody does, or this operator.

    Args:
        rayservice: As read. One that is rendered has no managed fields, and is suspended by nobody else.
    """
    spec, metadata = rayservice.get("spec") or {}, rayservice.get("metadata") or {}
    of_service, of_cluster = bool(spec.get("suspend")), bool((spec.get("rayClusterConfig") or {}).get("suspend"))
    managed = metadata.get("managedFields") or ()
    if not managed or not (of_service or of_cluster):
        return ""
    managers = list(_managers(managed, _OF_SERVICE if of_service else _OF_CLUSTER))
    others = [manager for manager in managers if manager != names.FIELD_MANAGER]
    if not others and names.FIELD_MANAGER in managers:
        return ""
    if (metadata.get("labels") or {}).get(QUEUE_LABEL):
        return KUEUE
    return others[0] if others else "another field manager"


def without_foreign_suspension(rayservice: Manifest) -> Manifest:
    """The RayService without the fields by which somebody else suspends it; the operator leaves them as they are."""
    if not suspended_by(rayservice):
        return rayservice
    spec = {key: value for key, value in rayservice["spec"].items() if key != "suspend"}
    cluster = {key: value for key, value in (spec.get("rayClusterConfig") or {}).items() if key != "suspend"}
    return {**rayservice, "spec": {**spec, "rayClusterConfig": cluster}}


def _managers(managed: Any, path: tuple[str, ...]) -> Iterator[str]:
    """The field managers that own the field at this path."""
    for entry in managed:
        place: Any = entry.get("fieldsV1")
        for part in path:
            place = place.get(part) if isinstance(place, dict) else None
        if place is not None:
            yield str(entry.get("manager") or "another field manager")
