"""Kubernetes quantities, as far as Pods need them: exact, and without floats."""

import re
from decimal import Decimal
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field, WithJsonSchema

_SUFFIXES: Final = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P"), start=1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), start=1)},
}
PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_QUANTITY: Final = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(m|[kMGTP]|[KMGTP]i)?$")


def _check(value: int | str) -> int | str:
    if isinstance(value, int) and value < 0:
        raise ValueError("a quantity cannot be negative")
    if isinstance(value, str) and not (_QUANTITY.fullmatch(value) and len(value) <= 32):
        raise ValueError("not a quantity; write a number with a unit, like 500m, 2, 512Mi or 16Gi")
    if isinstance(value, int) and value > MOST:
        raise ValueError(TOO_MUCH)
    return value


# Ray counts in ten thousandths, in 64 bits: memory in bytes ends below 838Ti. No node has an eighth of that.
MOST: Final = 10**14
TOO_MUCH: Final = "more than any node has: at most 100T"
Quantity = Annotated[
    int | str,
    Field(union_mode="left_to_right"),
    AfterValidator(_check),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": PATTERN,
            "maxLength": 32,
            "minimum": 0,
            "maximum": MOST,
        }
    ),
]


def _check_gpus(value: int | str) -> int | str:
    if not (0 <= value <= _MOST_GPUS if isinstance(value, int) else re.fullmatch(GPUS_PATTERN, value)):
        raise ValueError(f"not a number of GPUs; write 0 to {_MOST_GPUS}, or a part of one like 500m")
    return value


_MOST_GPUS: Final = 64
# Ray takes parts of one GPU, or whole ones.
GPUS_PATTERN: Final = r"^(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,2}m|[0-9]|[1-5][0-9]|6[0-4])$"
Gpus = Annotated[
    int | str,
    Field(union_mode="left_to_right"),
    AfterValidator(_check_gpus),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": GPUS_PATTERN,
            "maxLength": 8,
            "minimum": 0,
            "maximum": _MOST_GPUS,
        }
    ),
]


class Range(NamedTuple):
    """Minimum and maximum of something, like replicas or GPUs."""

    minimum: int
    maximum: int


def amount(quantity: int | str) -> Decimal:
    """The quantity in its base unit: cores, or bytes."""
    match = _QUANTITY.match(str(quantity))
    if not match:
        raise ValueError(f"not a quantity: {quantity!r}")
    return Decimal(match[1]) * _SUFFIXES[match[2] or ""]


def milli(quantity: int | str) -> int:
    """Thousandths of the base unit, rounded up: the finest CPU share that Kubernetes knows."""
    return int((amount(quantity) * 1000).to_integral_value(rounding="ROUND_CEILING"))


def ceil_units(quantity: int | str) -> int:
    """The base unit, rounded up: bytes, or whole cores as KubeRay counts them."""
    return int(amount(quantity).to_integral_value(rounding="ROUND_CEILING"))
