"""A part of a Pod template laid over another, as kubectl's strategic merge patch does.

Objects merge key by key, null deletes, and lists are replaced but for those that Kubernetes tells apart by a key. In an
object `$patch: replace` replaces all that is there by the overlay's, and `$patch: delete` leaves it empty; in
a list `$patch: delete` takes the item of that key out, and an item with `$patch: replace` replaces all of the list by
the overlay's other items. What is merged by which key is the `patchMergeKey` of the Kubernetes API's own types
(k8s.io/api/core/v1).

Two things differ. kubectl puts new items of such lists first, here they come last: the first container must be Ray's
(`kuberay`), and a variable can refer to those before it. And where nothing is there to be replaced or deleted, kubectl
drops the overlay's part or takes it with the directive as it stands, by where it is; here it is put there, or not.
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
# Lists of texts, whose texts are added to those that are there.
_UNIONS: Final = frozenset({"finalizers"})
_DIRECTIVE: Final = "$patch"


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """The overlay laid over the base. Neither is changed."""
    directive = overlay.get(_DIRECTIVE)
    if directive == "delete":
        return {}
    merged = {} if directive == "replace" else copy.deepcopy(base)
    for key, value in overlay.items():
        if key == _DIRECTIVE:
            continue
        if value is None:
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
    there: list[Any] = copy.deepcopy(base) if isinstance(base, list) else []
    if field in _UNIONS:
        return [*there, *(item for item in overlay if item not in there)]
    key = _MERGE_KEYS.get(field)
    if key is None or not all(isinstance(item, dict) for item in (*there, *overlay)):
        return copy.deepcopy(overlay)
    if any(item.get(_DIRECTIVE) == "replace" for item in overlay):
        return [merge({}, item) for item in overlay if _DIRECTIVE not in item]
    for item in overlay:
        at = next((i for i, old in enumerate(there) if key in item and old.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            if at is not None:
                del there[at]
        elif at is None:
            there.append(merge({}, item))
        else:
            there[at] = merge(there[at], item)
    return there
