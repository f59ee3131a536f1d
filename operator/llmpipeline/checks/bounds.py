"""Bounds that the CRD cannot state. They are checked before anything is planned, which relies on them."""

from collections.abc import Iterator
from typing import Any

from llmpipeline.api.base import Model, Part, parts
from llmpipeline.api.free_form import excess_of
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.quantity import MOST, TOO_MUCH, Quantity, amount
from llmpipeline.problems import Problem


def problems(spec: Spec) -> Iterator[Problem]:
    """Free-form fields and quantities that are out of bounds."""
    for part in parts(spec, Model, ("spec",)):
        yield from _problems_of(part)


def _problems_of(part: Part[Model]) -> Iterator[Problem]:
    for name, field in type(part.value).model_fields.items():
        value, path = getattr(part.value, name), (*part.at, field.alias or name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("x-kubernetes-preserve-unknown-fields"):
            if excess := excess_of(value):
                yield Problem(path, excess, "make it smaller")
        elif isinstance(value, str) and _is_quantity(field.annotation) and amount(value) > MOST:
            yield Problem(path, f"{TOO_MUCH}, not {value}")


def _is_quantity(annotation: Any) -> bool:
    return Quantity in (annotation, *getattr(annotation, "__args__", ()))
