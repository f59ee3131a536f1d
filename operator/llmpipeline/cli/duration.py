"""A length of time as an option takes it."""

import re
from typing import Any, Final

import click

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_LONGEST: Final = 10 * 365 * 24 * 3600


class _Seconds(click.ParamType[int]):
    """Seconds, also as 90s, 10m or 2h."""

    name = "duration"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,12})([smh]?)", str(value), re.ASCII)
        if not found:
            self.fail(f"{value!r} is not a time such as 90, 90s, 10m or 2h.", param, ctx)
        seconds = int(found[1]) * _UNITS[found[2]]
        if not self._least <= seconds <= _LONGEST:
            self.fail(f"{value!r} must be at least {self._least} s and at most 10 years.", param, ctx)
        return seconds


SECONDS: Final = _Seconds(0)
POSITIVE_SECONDS: Final = _Seconds(1)
