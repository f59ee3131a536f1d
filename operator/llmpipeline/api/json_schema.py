"""The resource as JSON Schema, for editors: made of the CRD's schema, in which they know half of the keywords.

What the API server alone knows is put into words that every validator knows: a field that is not declared is an error
there, a quantity is an integer or a string, and CEL rules become sentences of the description.
"""

from typing import Any, Final

from llmpipeline import names
from llmpipeline.api.accelerator import BUILT_IN, TYPE_PATTERN
from llmpipeline.api.crd import class_schema, openapi_schema

Schema = dict[str, Any]

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_OF_KUBERNETES: Final = "x-kubernetes-"
_ANY: Final = "x-kubernetes-preserve-unknown-fields"
_RULES: Final = "x-kubernetes-validations"
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_STRINGS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
# The other fields of ObjectMeta, which the API server fills in.
_FILLED_IN: Final = (
    "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
    "generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
)  # fmt: skip


def json_schema() -> Schema:
    """The schema of one document."""
    resource = _node(openapi_schema())
    fields: Schema = resource["properties"]
    fields["apiVersion"] = {"description": f"Always {names.API_VERSION}.", "enum": [names.API_VERSION]}
    fields["kind"] = {"description": f"Always {names.KIND}.", "enum": [names.KIND]}
    fields["metadata"] = {
        "description": "Name, namespace, labels and annotations, as of every object of Kubernetes.",
        "type": "object",
        "properties": {
            **{field: {} for field in _FILLED_IN},
            "name": {"description": "The pipeline's name.", "type": "string"},
            "namespace": {"description": "Default: that of kubectl's context.", "type": "string"},
            "labels": {"description": "Labels.", **_STRINGS},
            "annotations": {"description": "Annotations.", **_STRINGS},
        },
        "additionalProperties": False,
        "required": ["name"],
    }
    return {
        "$schema": DIALECT,
        "title": names.KIND,
        **resource,
        "required": ["apiVersion", "kind", "metadata", "spec"],
    }


def class_spec_schema() -> Schema:
    """The schema of a class's spec, as the chart has it: an API server drops unknown fields, and helm says nothing."""
    return _node(class_schema()["properties"]["spec"])


def _node(schema: Schema) -> Schema:
    result = {key: value for key, value in schema.items() if not key.startswith(_OF_KUBERNETES)}
    if schema.get(_INT_OR_STRING):
        result.pop("anyOf", None)
        result["type"] = ["integer", "string"]
    if "properties" in schema:
        result["properties"] = {name: _node(field) for name, field in schema["properties"].items()}
        if not schema.get(_ANY):
            result["additionalProperties"] = False
    if schema.get("pattern") == TYPE_PATTERN:  # editors offer the built-in types, and take others
        result["anyOf"] = [{"enum": list(BUILT_IN)}, {}]
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            result[inner] = _node(schema[inner])
    if sentences := [rule["message"] for rule in schema.get(_RULES, ())]:
        described = schema.get("description", "")
        result["description"] = "\n".join(filter(None, (described, *(f"- {sentence}" for sentence in sentences))))
    return result
