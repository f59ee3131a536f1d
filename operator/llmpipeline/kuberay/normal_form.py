"""Manifests in one form: what KubeRay's Go types and the CRD's defaults make equal is equal here.

KubeRay compares clusters as Go writes them to JSON: empty values of plain fields vanish, those of pointers stay
(`securityContext: {}` is not the same as none), quantities take their shortest form. The API server fills defaults in.
"""

from collections.abc import Mapping
from typing import Any, Final

from llmpipeline.api.quantity import amount
from llmpipeline.names import without_none

Keys = tuple[str, ...]

# Maps whose values are any text: an empty one counts, and their keys are no fields.
_TEXTS: Final = frozenset(
    {"annotations", "headServiceAnnotations", "labels", "matchLabels", "nodeSelector", "rayStartParams"}
    | {"volumeAttributes"}
)
# Maps and plain structs: empty is as good as absent. `rayStartParams` is always written, so for it the two differ.
_VANISHING: Final = frozenset(
    {"annotations", "headServiceAnnotations", "labels", "limits", "loadBalancer", "matchLabels", "metadata"}
    | {"nodeSelector", "overhead", "requests", "resources", "scaleStrategy", "spec", "status", "volumeAttributes"}
)
# Where `resources` is a pointer.
_POINTING_AT_RESOURCES: Final = frozenset({"autoscalerOptions", "collectorOptions"})
_PLAIN_FLAGS: Final = frozenset(
    {"excludeHeadPodFromServeSvc", "hostIPC", "hostNetwork", "hostPID", "publishNotReadyAddresses", "readOnly"}
    | {"stdin", "stdinOnce", "tty"}
)
_PLAIN_NUMBERS: Final = frozenset(
    {"failureThreshold", "hostPort", "initialDelaySeconds", "nodePort", "periodSeconds", "successThreshold"}
    | {"targetPort", "timeoutSeconds"}
)
_OF_QUANTITIES: Final = frozenset({"limits", "overhead", "requests"})
_QUANTITIES: Final = frozenset({"divisor", "size", "sizeLimit"})
# What the API server fills in, by the field that holds it.
_GROUP: Final = {"replicas": 0, "minReplicas": 0, "maxReplicas": 2147483647, "numOfHosts": 1, "priority": 0}
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "workerGroupSpecs": _GROUP,
    "networkPolicy": {"mode": "DenyAll"},
    "clusterUpgradeOptions": {"maxSurgePercent": 100},
}
_PORT: Final = {"protocol": "TCP"}
_HOLDERS_OF_PORTS: Final = frozenset({"containers", "ephemeralContainers", "initContainers", "spec"})
_BINARY: Final = tuple((f"{unit}i", 1024**power) for power, unit in ((5, "P"), (4, "T"), (3, "G"), (2, "M"), (1, "K")))
_DECIMAL: Final = tuple((unit, 1000**power) for power, unit in ((5, "P"), (4, "T"), (3, "G"), (2, "M"), (1, "k")))


def normal_form(value: Any, keys: Keys = ()) -> Any:
    """The value without what makes no difference.

    Args:
        value: Any part of a RayService or RayCluster, as rendered or as read.
        keys: The keys that lead to it, without the indices of lists.
    """
    key = keys[-1] if keys else ""
    if isinstance(value, list):
        return [normal_form(item, keys) for item in value]
    if isinstance(value, dict):
        if key in _TEXTS:
            return {name: text or "" for name, text in value.items()}
        given = without_none(value)
        parts = {name: normal_form(part, (*keys, name)) for name, part in (_defaults(keys) | given).items()}
        return {name: part for name, part in parts.items() if not _vanishes(part, (*keys, name))}
    if key in _QUANTITIES or any(within in _OF_QUANTITIES for within in keys[-2:-1]):
        return canonical(value)
    return value


def canonical(quantity: Any) -> str:
    """A quantity as Go writes it: `1000m` is `1`, `1024Mi` is `1Gi`, and `1Gi` is not `1073741824`."""
    text = str(quantity)
    try:
        count = amount(text)
    except ValueError:
        return text
    units = _BINARY if text.endswith("i") and count >= 1024 else _DECIMAL
    for unit, size in (*units, ("", 1)):
        if count and count % size == 0:
            return f"{count // size:f}{unit}"
    return f"{(count * 1000).normalize():f}m" if count else "0"


def _defaults(keys: Keys) -> dict[str, Any]:
    if keys[-1:] == ("ports",) and _HOLDERS_OF_PORTS.intersection(keys[-2:-1]):
        return dict(_PORT)
    return dict(_DEFAULTS.get(keys[-1], {})) if keys else {}


def _vanishes(value: Any, keys: Keys) -> bool:
    key = keys[-1]
    if value == {}:
        pointer = key == "resources" and bool(_POINTING_AT_RESOURCES.intersection(keys[-2:-1]))
        return key in _VANISHING and not pointer
    if value is False:
        return key in _PLAIN_FLAGS or keys == ("suspend",)
    if value == 0 and isinstance(value, int):
        return key in _PLAIN_NUMBERS
    return value in ("", []) or (key == "divisor" and value == "0")
