"""KubeRay's CRD of RayService as a strict judge: what the API server would drop in silence is a mistake here.

With the stand-in for KubeRay's CRD it judges nothing: see `crds`.
"""

from functools import cache
from typing import Any

import jsonschema
import yaml
from jsonschema.validators import extend

from support.kuberay.crds import kuberay_crds

Schema = dict[str, Any]

_BOUNDS = {"int32": 2**31, "int64": 2**63}
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def faults(rayservice: dict[str, Any]) -> list[str]:
    """What the schema has against a RayService, each with where it is."""
    return [f"{error.json_path}: {error.message[:300]}" for error in _judge().iter_errors(rayservice)]


@cache
def _judge() -> Any:
    crds = [yaml.load(path.read_text(), _LOADER) for path in kuberay_crds().directory.glob("*.yaml")]
    (crd,) = [crd for crd in crds if crd["spec"]["names"]["kind"] == "RayService"]
    (version,) = [version for version in crd["spec"]["versions"] if version["name"] == "v1"]
    kind = extend(jsonschema.Draft202012Validator, {"x-kubernetes-list-map-keys": _keys_are_unique})
    return kind(_closed(version["schema"]["openAPIV3Schema"]))


def _closed(node: Schema) -> Schema:
    """A structural schema as JSON Schema has it, with objects that take their own fields alone."""
    closed = {key: value for key, value in node.items() if key not in ("description", "default", "format")}
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"], **{key: node[key] for key in ("pattern",) if key in node}}
    if node.get("nullable"):
        closed["type"] = [node["type"], "null"]
    if bound := _BOUNDS.get(node.get("format", "")):
        closed = {"minimum": -bound, "maximum": bound - 1} | closed
    if "items" in node:
        closed["items"] = _closed(node["items"])
    if "properties" in node:
        closed["properties"] = {name: _closed(below) for name, below in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        closed["additionalProperties"] = _closed(node["additionalProperties"])
    elif "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
        closed["additionalProperties"] = False
    return closed


def _keys_are_unique(validator: Any, keys: list[str], items: Any, schema: Schema) -> Any:
    """The API server refuses a list-map with two items of one key; what an item leaves out has its default."""
    fields = schema["items"].get("properties", {})
    seen: list[Any] = []
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        key = [item.get(name, "TCP" if name == "protocol" and name in fields else None) for name in keys]
        if key in seen:
            yield jsonschema.ValidationError(f"duplicate {dict(zip(keys, key, strict=True))}")
        seen.append(key)
