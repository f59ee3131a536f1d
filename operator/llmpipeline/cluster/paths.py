"""Where objects are in the API. Every name in a path is checked: `..` would lead to somebody else's object."""

from typing import Final

from llmpipeline import names
from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.names import Key

# API version and plural by kind.
_KINDS: Final = {
    names.KIND: (names.API_VERSION, names.PLURAL),
    names.CLASS_KIND: (names.API_VERSION, names.CLASS_PLURAL),
    names.RAY_CLUSTER_KIND: (names.RAY_API_VERSION, names.RAY_CLUSTER_PLURAL),
    names.RAY_SERVICE_KIND: (names.RAY_API_VERSION, names.RAY_SERVICE_PLURAL),
    names.POD_KIND: ("v1", "pods"),
    names.GATEWAY_KIND: (names.GATEWAY_VERSION, "gateways"),
    "Event": ("events.k8s.io/v1", "events"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    **{kind: (api_version, plural) for api_version, kind, plural in names.COMPANIONS},
}


def collection_of(kind: str, namespace: str | None) -> str:
    """The path of the objects of a kind in a namespace; None: in all."""
    api_version, plural = _KINDS[kind]
    within = f"/namespaces/{_segment(namespace)}" if namespace else ""
    root = "apis" if "/" in api_version else "api"
    return f"/{root}/{api_version}{within}/{plural}"


def path_of(kind: str, key: Key) -> str:
    """The path of an object."""
    return f"{collection_of(kind, key.namespace)}/{_segment(key.name)}"


def _segment(name: str) -> str:
    if not names.is_object_name(name):
        raise RequestRejected(400, f"{name!r} cannot be the name of an object")
    return name
