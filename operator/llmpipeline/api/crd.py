"""The CustomResourceDefinition, generated from the models.

Kubernetes takes a structural schema: a subset of OpenAPI 3.0 with keywords of its own. Whatever pydantic says that has
no place in it raises here, at build time, rather than being dropped.
Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from typing import Any, Final

from llmpipeline import names
from llmpipeline.api.base import Model
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.api.pipeline_class import LLMPipelineClass
from llmpipeline.api.run_code import KEYWORD
from llmpipeline.api.status import NOT_OBSERVED

Schema = dict[str, Any]

_COPIED: Final = frozenset(
    {
        "type", "description", "enum", "format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems",
        "maxItems", "maxProperties", "required", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations", KEYWORD,
    }
)  # fmt: skip

_COLUMNS: Final = [
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Available", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Available")].status'},
    {"name": "Reason", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason'},
    {
        "name": "Apps",
        "type": "string",
        "jsonPath": ".status.readyApps",
        "description": "Number of running apps and of all apps.",
    },
    {"name": "GPUs", "type": "integer", "jsonPath": ".status.gpus.requested", "description": "Minimum number."},
    {"name": "URL", "type": "string", "jsonPath": ".status.url"},
    {"name": "Message", "type": "string", "priority": 1, "jsonPath": '.status.conditions[?(@.type=="Ready")].message'},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


_IS_DEFAULT: Final = r".metadata.annotations.serving\.llmpipeline\.dev/is-default-class"
_CLASS_COLUMNS: Final = [
    {"name": "Default", "type": "string", "jsonPath": _IS_DEFAULT},
    {"name": "Ray", "type": "string", "jsonPath": ".spec.ray.version"},
    {"name": "Image", "type": "string", "priority": 1, "jsonPath": ".spec.ray.images.gpu"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


# The API server checks these itself and takes no schema of ours for them.
_SERVERS_OWN: Final[Schema] = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}


def crd() -> Schema:
    """The whole manifest, as `kubectl apply` takes it."""
    version = {
        "schema": {"openAPIV3Schema": openapi_schema()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.scale.replicas",
                "statusReplicasPath": ".status.scale.replicas",
                "labelSelectorPath": ".status.scale.selector",
            },
        },
        "additionalPrinterColumns": _COLUMNS,
    }
    return _manifest((names.KIND, names.PLURAL, names.SINGULAR, names.SHORT_NAME), "Namespaced", version)


def class_crd() -> Schema:
    """The manifest of the classes."""
    version = {"schema": {"openAPIV3Schema": class_schema()}, "additionalPrinterColumns": _CLASS_COLUMNS}
    said = (names.CLASS_KIND, names.CLASS_PLURAL, names.CLASS_SINGULAR, names.CLASS_SHORT_NAME)
    return _manifest(said, "Cluster", version)


def _manifest(said: tuple[str, str, str, str], scope: str, version: Schema) -> Schema:
    """Of a CRD with one version, and with this kind, plural, singular and short name."""
    kind, plural, singular, short = said
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": singular,
                "shortNames": [short],
            },
            "scope": scope,
            "versions": [{"name": names.VERSION, "served": True, "storage": True, **version}],
        },
    }


def class_schema() -> Schema:
    """The structural schema of the classes."""
    plain: Schema = _without_marks(_schema_of(LLMPipelineClass))
    return plain


def openapi_schema() -> Schema:
    """The structural schema of the resource."""
    plain: Schema = _without_marks(marked_schema())
    return plain


def marked_schema() -> Schema:
    """The structural schema with the marks of `run_code`, from which the admission policy is generated."""
    schema = _schema_of(LLMPipeline)
    # To tools that read kstatus a resource without a status is a success. So there is one from the first moment.
    schema["properties"]["status"]["default"] = {"observedGeneration": NOT_OBSERVED}
    return schema


def _schema_of(model: type[Model]) -> Schema:
    raw = model.model_json_schema(by_alias=True)
    for field in _SERVERS_OWN:
        raw["properties"].pop(field)
    schema = _structural(raw, raw["$defs"], model.__name__)
    schema["properties"] = _SERVERS_OWN | schema["properties"]
    schema["required"] = ["spec"]
    return schema


def _without_marks(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_marks(value) for key, value in node.items() if key != KEYWORD}
    return [_without_marks(item) for item in node] if isinstance(node, list) else node


def _structural(node: Schema, definitions: Schema, where: str) -> Schema:
    """One node of pydantic's JSON schema as a structural schema."""
    node = _dereferenced(node, definitions)
    if node.get("additionalProperties") is True and "x-kubernetes-preserve-unknown-fields" not in node:
        raise ValueError(f"{where}: a free-form object must be declared with any_object")
    result: Schema = {}
    for keyword, value in node.items():
        if keyword in _COPIED:
            result[keyword] = value
        elif keyword == "properties":
            result[keyword] = {name: _structural(item, definitions, f"{where}.{name}") for name, item in value.items()}
        elif (keyword == "additionalProperties" and isinstance(value, dict)) or keyword == "items":
            result[keyword] = _structural(value, definitions, f"{where}[]")
        elif keyword == "default":
            if value not in (None, []):
                result[keyword] = value
        elif keyword == "const":
            result["enum"] = [value]
        elif keyword == "anyOf" and node.get("x-kubernetes-int-or-string"):
            result[keyword] = value
        elif keyword not in ("title", "$defs", "additionalProperties"):
            raise ValueError(f"{where}: Kubernetes has no schema keyword {keyword}")
    if result.get("type") == "array" and "maxItems" not in result:
        raise ValueError(f"{where}: a list needs a bound, or the API server rejects rules over it as too expensive")
    if "description" not in result and where.count(".") and not where.endswith("[]"):
        raise ValueError(f"{where}: a field needs a description, for kubectl explain")
    return result


def _dereferenced(node: Schema, definitions: Schema) -> Schema:
    """Follows `$ref` and drops the `null` of an optional field: Kubernetes leaves the field out instead."""
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        options = [option for option in node["anyOf"] if option != {"type": "null"}]
        if len(options) != 1:
            raise ValueError(f"a union has no structural schema: {node}")
        outer = {keyword: value for keyword, value in node.items() if keyword != "anyOf"}
        return _dereferenced(options[0] | outer, definitions)
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        return _dereferenced(target, definitions) | {key: value for key, value in node.items() if key != "$ref"}
    return node
