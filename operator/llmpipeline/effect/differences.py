"""Where two values differ, told so that a person finds the place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_NAMES: Final = ("name", "groupName")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs.

    Attributes:
        field: Its path; entries of lists go by their name, like `spec.apps[chat].openai`.
        before: Its value before; None where it was not there.
        after: Its value after; None where it is no longer there.
    """

    field: str
    before: Any
    after: Any


def differences(before: Any, after: Any, field: str = "") -> tuple[Difference, ...]:
    """The innermost fields in which two values of JSON differ, in the order in which the fields stand."""
    return tuple(_differences(before, after, field))


def _differences(before: Any, after: Any, field: str) -> Iterator[Difference]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from _differences(before.get(key), after.get(key), _inside(field, key))
        return
    if isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(before, after, field)
        return
    yield Difference(field, before, after)


def _of_lists(before: list[Any], after: list[Any], field: str) -> Iterator[Difference]:
    old, new = _by_name(before), _by_name(after)
    if old is None or new is None:
        if len(before) != len(after):
            yield Difference(field, before, after)
            return
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, f"{field}[{index}]")
        return
    for name in dict.fromkeys((*old, *new)):
        yield from _differences(old.get(name), new.get(name), f"{field}[{name}]")
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield Difference(f"{field} (order)", list(old), list(new))


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """The entries by their names; None where they have none, or not each its own."""
    for key in _NAMES:
        named = {item[key]: item for item in items if isinstance(item, dict) and isinstance(item.get(key), str)}
        if len(named) == len(items):
            return named
    return None


def _inside(field: str, key: str) -> str:
    if "." in key or "/" in key:
        return f"{field}[{key}]"
    return f"{field}.{key}" if field else key
