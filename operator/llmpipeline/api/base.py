"""What every part of the resource is made of: a frozen model, and rules that hold between its fields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

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
    """A part of the resource: immutable, camelCase in files, without unknown fields."""

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


Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Part(Generic[Kind]):
    """A model within a model.

    Attributes:
        at: Where it is, by the names of the fields in the document.
        value: The model itself.
        holder: The model that holds it, directly or in a list; None for the outermost.
    """

    at: Path
    value: Kind
    holder: "Model | None"


def parts(model: Model, kind: type[Kind], at: Path = (), holder: Model | None = None) -> Iterator[Part[Kind]]:
    """Every model of this kind in a model, itself included, in the order of the fields.

    With it a check says what it looks for, such as all models that are loaded, and never lists where that may occur: a
    new kind of app is found without a change.
    """
    if isinstance(model, kind):
        yield Part(at, model, holder)
    for name, alias in _ways(type(model), kind):  # type: ignore[arg-type]  # a class is hashable
        value, here = getattr(model, name), (*at, alias)
        if isinstance(value, tuple):
            for index, item in enumerate(value):
                yield from parts(item, kind, (*here, index), model)
        elif value is not None:
            yield from parts(value, kind, here, model)


Whole = TypeVar("Whole", bound=Model)


def replaced(model: Whole, kind: type[Kind], change: Callable[[Kind], Kind]) -> Whole:
    """The model with every model of this kind in it changed; the others stay what they are."""
    if isinstance(model, kind):
        return change(model)  # type: ignore[return-value]  # the change keeps the type
    updates: dict[str, Any] = {}
    for name, _ in _ways(type(model), kind):  # type: ignore[arg-type]  # a class is hashable
        value = getattr(model, name)
        if isinstance(value, tuple):
            updates[name] = tuple(replaced(item, kind, change) for item in value)
        elif value is not None:
            updates[name] = replaced(value, kind, change)
    return model.model_copy(update=updates) if updates else model


@cache
def _ways(holder: type[Model], kind: type) -> tuple[tuple[str, str], ...]:
    """The fields of a model, with their names in the document, in which there may be models of this kind."""
    inner = {name: model_in(field.annotation) for name, field in holder.model_fields.items()}
    fields = [(name, holder.model_fields[name].alias or name, model) for name, model in inner.items() if model]
    return tuple((name, alias) for name, alias, model in fields if issubclass(model, kind) or _ways(model, kind))


def model_in(annotation: Any) -> type[Model] | None:
    """The model that a field holds, directly, in a list or optionally."""
    return next(_models_in(annotation), None)


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


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


def named_list(description: str, *, most: int, least: int = 0, mark: JsonDict | None = None) -> Any:
    """A list whose key is `name`: the API server merges it by name and rejects duplicates.

    Every list is bounded because the API server rejects rules over lists whose size it cannot estimate.
    """
    extra = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], **(mark or {})}
    bounds: dict[str, Any] = {"max_length": most, "json_schema_extra": extra}
    if least:
        return Field(description=description, min_length=least, **bounds)
    return Field(default=(), description=description, **bounds)


def any_object(description: str, mark: JsonDict | None = None) -> Any:
    """A free-form object that somebody else's schema describes (engine arguments, a runtime environment)."""
    extra: JsonDict = {"x-kubernetes-preserve-unknown-fields": True, **(mark or {})}
    return Field(default=None, description=description, json_schema_extra=extra)
