"""The two CustomResourceDefinitions that pipelines need: ours and KubeRay's."""

from collections.abc import Set
from typing import Any, Final

from llmpipeline import names
from llmpipeline.api.crd import crd
from llmpipeline.doctor import kuberay
from llmpipeline.doctor.types import Facts, Finding, Manifest, Unread, unknown

_APPLY_OURS: Final = "kubectl apply --server-side -f manifests/crds"


def our_crd(facts: Facts) -> list[Finding]:
    """Whether pipelines are known here, and whether this llmpipeline means the same by one."""
    check, found = f"{names.KIND} CRD", facts.our_crd
    if isinstance(found, Unread):
        return unknown(check, found)
    if found is None:
        return [Finding(check, "Problem", "not installed", _APPLY_OURS)]
    ours = crd()["spec"]["versions"][0]
    served = next((item for item in found["spec"]["versions"] if item["name"] == names.VERSION), None)
    if served is None or not served["served"]:
        return [Finding(check, "Problem", f"it does not serve {names.VERSION}", _APPLY_OURS)]
    difference = _difference(ours["schema"]["openAPIV3Schema"], served["schema"]["openAPIV3Schema"])
    if difference:
        message = f"made by another version of llmpipeline: {difference}"
        remedy = "apply manifests/crds of the operator's version, and use llmpipeline of that version here"
        return [Finding(check, "Warning", message, remedy)]
    return [Finding(check, "Ok", f"{names.VERSION}, the same as this llmpipeline's")]


def _difference(ours: Manifest, theirs: Manifest) -> str:
    """How two schemas differ in what they accept: what is said for people is left out."""
    here, there = set(_fields(ours)), set(_fields(theirs))
    if here - there:
        return f"it lacks {_first(here - there)}"
    if there - here:
        return f"it also has {_first(there - here)}"
    return "" if _bare(ours) == _bare(theirs) else "its rules are not the same"


def _fields(schema: Manifest, path: str = "") -> list[str]:
    found = []
    for name, inner in (schema.get("properties") or {}).items():
        here = f"{path}.{name}".lstrip(".")
        found += [here, *_fields(inner, here)]
    inner = schema.get("items")
    return [*found, *(_fields(inner, f"{path}[]") if inner else ())]


def _first(fields: Set[str]) -> str:
    # What lies within a field that is named goes without saying.
    within = {field for field in fields for parent in _parents(field) if parent in fields}
    tops = sorted(fields - within, key=lambda field: (field.count("."), field))
    return tops[0] if len(tops) == 1 else f"{tops[0]} and {len(tops) - 1} more"


def _parents(field: str) -> list[str]:
    """`spec.apps[].name` -> `spec`, `spec.apps`."""
    parts = field.split(".")
    return [".".join(parts[:length]).removesuffix("[]") for length in range(1, len(parts))]


def _bare(schema: Any) -> Any:
    """A schema without descriptions, and without what the API server may fill in: empty values."""
    if isinstance(schema, dict):
        return {
            key: _bare(value)
            for key, value in schema.items()
            if value not in (None, [], {}, "") and not (key == "description" and isinstance(value, str))
        }
    return [_bare(item) for item in schema] if isinstance(schema, list) else schema


def ray_crd(facts: Facts) -> list[Finding]:
    """Whether RayServices are known here, with all the fields that the operator writes."""
    check, found, wanted = "KubeRay CRD", facts.ray_crd, kuberay.show(kuberay.OLDEST)
    if isinstance(found, Unread):
        return unknown(check, found)
    if found is None:
        return [Finding(check, "Problem", "not installed", f"install KubeRay {wanted} or newer: {kuberay.INSTALL}")]
    version = kuberay.crd_version(found)
    if version is None or version < kuberay.OLDEST:
        of = f"KubeRay {kuberay.show(version)}" if version else "a KubeRay older than 1.4"
        message = f"of {of}; {wanted} or newer is needed, or the API server refuses fields of our RayServices"
        return [Finding(check, "Problem", message, kuberay.UPDATE_CRDS)]
    return [Finding(check, "Ok", f"has the fields of KubeRay {wanted}")]
