"""Finds a field of the resource by its path, and says what stands in the schema about it. Pure."""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from llmpipeline import names
from llmpipeline.api.crd import openapi_schema

Schema = dict[str, Any]

_INDEX: Final = re.compile(r"\[[^\]]*\]")
_MOST_SUGGESTIONS: Final = 3
# Keywords that bound a value from below and from above, and what they count.
_BOUNDS: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)
# They are in every object of Kubernetes, and in the schema without their fields.
_METADATA: Final[Schema] = {
    "type": "object",
    "description": "Name, namespace, labels and annotations, as of every object of Kubernetes.",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the resource.

    Attributes:
        path: Where it is, like `spec.apps[].openai`; empty: the resource itself.
        schema: The part of the CRD's schema.
        is_required: Whether the object that it is in must have it.
    """

    path: str
    schema: Schema
    is_required: bool = False

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2].removesuffix("[]")

    @property
    def type(self) -> str:
        """The type in words."""
        return _type_of(self.schema)

    @property
    def default(self) -> str:
        """The default as it would stand in a file; empty if there is none."""
        if "default" not in self.schema:
            return ""
        value = self.schema["default"]
        return value if isinstance(value, str) and value else json.dumps(value)

    @property
    def bounds(self) -> str:
        """The least and the most, and the form of a string; empty if anything goes."""
        said = [
            _range(self.schema, low, high) + what for low, high, what in _BOUNDS if {low, high} & self.schema.keys()
        ]
        if "pattern" in self.schema:
            said.append(f"matches {self.schema['pattern']}")
        return ", ".join(said)

    @property
    def description(self) -> str:
        """What it means."""
        return str(self.schema.get("description") or _inner(self.schema).get("description", ""))

    @property
    def rules(self) -> list[str]:
        """What the API server checks beyond the types."""
        inner = _inner(self.schema)
        found = [*self.schema.get("x-kubernetes-validations", ()), *inner.get("x-kubernetes-validations", ())]
        return list(dict.fromkeys(rule["message"] for rule in found))

    @property
    def fields(self) -> "list[Field]":
        """The fields of the object, or of each object of a list or map."""
        inner = _inner(self.schema)
        required = inner.get("required", ())
        prefix = f"{self.path}." if self.path else ""
        return [
            Field(f"{prefix}{name}{_suffix(schema)}", schema, name in required)
            for name, schema in inner.get("properties", {}).items()
        ]


@cache
def root() -> Field:
    """The resource itself."""
    schema = openapi_schema()
    schema["properties"]["metadata"] = _METADATA
    return Field("", {**schema, "description": f"{names.KIND}, {names.API_VERSION}"})


def find(path: str) -> Field | list[str]:
    """The field at a path such as `spec.apps.openai`; else the paths that may be meant, the best first.

    As of kubectl: indices of lists may be there or not, and the resource's name may come first.
    """
    parts = [part for part in _INDEX.sub("", path.strip()).split(".") if part]
    if parts and parts[0].lower() in (names.SHORT_NAME, names.SINGULAR, names.PLURAL):
        parts = parts[1:]
    here = root()
    for position, part in enumerate(parts):
        following = next((field for field in here.fields if field.name == part), None)
        if following is None:
            return _meant(here, part, parts[position:])
        here = following
    return here


def walk(field: Field) -> Iterator[Field]:
    """All fields below one, each before those in it."""
    for below in field.fields:
        yield below
        yield from walk(below)


def plain(field: Field) -> str:
    """Its path as it is typed."""
    return field.path.replace("[]", "")


def _meant(here: Field, part: str, rest: list[str]) -> list[str]:
    siblings = {field.name: plain(field) for field in here.fields}
    lower = {name.lower(): name for name in siblings}
    close = difflib.get_close_matches(part.lower(), list(lower), _MOST_SUGGESTIONS, 0.7)
    found = [siblings[lower[name]] for name in close]
    # Who leaves out the way to a field knows its name, or the end of its path.
    ending = f".{'.'.join(rest)}".lower()
    elsewhere = [plain(field) for field in walk(root()) if f".{plain(field)}".lower().endswith(ending)]
    below = [path for path in elsewhere if path.startswith(f"{plain(here)}.")]
    return list(dict.fromkeys([*sorted(below, key=len)[:1], *found, *sorted(elsewhere, key=len)]))[:_MOST_SUGGESTIONS]


def _inner(schema: Schema) -> Schema:
    """The object with the fields: the items of a list, the values of a map, or the schema itself."""
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            inner: Schema = schema[keyword]
            return _inner(inner) if "items" in inner else inner
    return schema


def _suffix(schema: Schema) -> str:
    return "[]" if schema.get("type") == "array" else ""


def _type_of(schema: Schema) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if schema.get("type") == "array":
        return f"list of {_plural(_type_of(schema['items']))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map from string to {_type_of(schema['additionalProperties'])}"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return "any object"
    return "time" if schema.get("format") == "date-time" else str(schema.get("type", "any"))


def _plural(words: str) -> str:
    return words if " " in words else f"{words}s"


def _range(schema: Schema, low: str, high: str) -> str:
    least, most = (f"{schema[bound]:,}" if bound in schema else "" for bound in (low, high))
    return f"{least} to {most}" if least and most else f"{least} or more" if least else f"at most {most}"
