"""What every part of the resource is made of: a frozen model, and rules that hold between its fields."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from llmpipeline.problems import Path


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule between fields, in the two languages it is checked in.

    The API server evaluates `cel`; `llmpipeline validate` and the operator call `holds`. The two stand side by side so
    that a change to one is seen next to the other, and every rule has an accept and a reject test through both.

    Attributes:
        cel: The rule over `self`, the object that the model describes.
        message: What the user must do, as a full sentence without the field's path.
        holds: The same rule over the parsed model.
        at: Where in the object the problem is shown.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    at: Path = ()


class Model(BaseModel):
    """A part of the resource: immutable, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The JSON schema with the model's rules, in the API server's own keyword."""
        json_schema = handler(schema)
        if cls.rules:
            handler.resolve_ref_schema(json_schema)["x-kubernetes-validations"] = [
                {"rule": rule.cel, "message": rule.message, **_field_path(rule.at)} for rule in cls.rules
            ]
        return json_schema


def _field_path(path: Path) -> dict[str, str]:
    """The keyword that points at a field; the API server takes none below the metadata."""
    if not path or path[0] == "metadata":
        return {}
    return {"fieldPath": "".join(f".{part}" for part in path)}


def exactly_one(*members: str) -> Rule:
    """The rule that exactly one of these optional members is set (attribute names, in snake case)."""
    fields = [to_camel(member) for member in members]
    options = f"{', '.join(fields[:-1])} and {fields[-1]}"
    return Rule(
        cel=f"[{', '.join(f'has(self.{name})' for name in fields)}].exists_one(given, given)",
        message=f"give exactly one of {options}",
        holds=lambda model: sum(getattr(model, member) is not None for member in members) == 1,
    )


def at_most_one(first: str, second: str) -> Rule:
    """The rule that not both of these optional members are set."""
    one, other = to_camel(first), to_camel(second)
    return Rule(
        cel=f"!(has(self.{one}) && has(self.{other}))",
        message=f"give {one} or {other}, not both",
        holds=lambda model: getattr(model, first) is None or getattr(model, second) is None,
    )


def named_list(description: str, *, most: int, least: int = 0) -> Any:
    """A list whose items are told apart by their `name`: the API server merges it by name and refuses two alike.

    Every list is bounded, for the API server refuses rules over lists whose size it cannot estimate.
    """
    extra = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    bounds: dict[str, Any] = {"max_length": most, "json_schema_extra": extra}
    if least:
        return Field(description=description, min_length=least, **bounds)
    return Field(default=(), description=description, **bounds)


def any_object(description: str, default: Any = None) -> Any:
    """A free-form object that somebody else's schema describes (engine arguments, a runtime environment)."""
    extra: JsonDict = {"x-kubernetes-preserve-unknown-fields": True}
    return Field(default=default, description=description, json_schema_extra=extra)
