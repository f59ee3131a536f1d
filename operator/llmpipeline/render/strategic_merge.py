"""A part of a Pod template laid over another, as kubectl's strategic merge patch does.

Objects merge key by key, null deletes, and lists are replaced but for those that Kubernetes tells apart by a key.
`$patch: replace` and `$patch: delete` are understood in objects and list items. What is merged by which key is the
`patchMergeKey` of the Kubernetes API's own types (k8s.io/api/core/v1).
"""

import copy
from typing import Any, Final

_MERGE_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
}
_DIRECTIVE: Final = "$patch"


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """The overlay laid over the base. Neither is changed."""
    if overlay.get(_DIRECTIVE) == "replace":
        return _without_directive(overlay)
    merged = copy.deepcopy(base)
    for key, value in overlay.items():
        if key == _DIRECTIVE:
            continue
        if value is None or (isinstance(value, dict) and value.get(_DIRECTIVE) == "delete"):
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, dict) else {}, value)
        elif isinstance(value, list):
            merged[key] = _merge_lists(key, merged.get(key), value)
        else:
            merged[key] = value
    return merged


def _merge_lists(field: str, base: Any, overlay: list[Any]) -> list[Any]:
    key = _MERGE_KEYS.get(field)
    if key is None or not all(isinstance(item, dict) for item in overlay):
        return copy.deepcopy(overlay)
    replaces = any(item.get(_DIRECTIVE) == "replace" and key not in item for item in overlay)
    merged: list[Any] = [] if replaces or not isinstance(base, list) else copy.deepcopy(base)
    for item in overlay:
        if item.get(_DIRECTIVE) == "replace" and key not in item:
            continue
        at = next((i for i, old in enumerate(merged) if key in item and old.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            if at is not None:
                del merged[at]
        elif at is None:
            merged.append(merge({}, item))
        else:
            merged[at] = merge(merged[at], item)
    return merged


def _without_directive(given: dict[str, Any]) -> dict[str, Any]:
    return {key: copy.deepcopy(value) for key, value in given.items() if key != _DIRECTIVE}
