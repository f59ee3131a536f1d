"""Bounds of free-form fields. The CRD cannot state them: its rules do not look below a field of any form."""

from typing import Any, Final

MOST_VALUES: Final = 2000
MOST_CHARACTERS: Final = 128 * 1024
DEEPEST: Final = 32


def excess_of(value: Any, most_values: int = MOST_VALUES, most_characters: int = MOST_CHARACTERS) -> str:
    """What is too much about a value, as the end of a sentence about it; empty if it is within the bounds."""
    values = characters = 0
    rest: list[tuple[Any, int]] = [(value, 0)]
    while rest:
        item, depth = rest.pop()
        values += 1
        if depth > DEEPEST:
            return f"is nested more than {DEEPEST} levels deep"
        if isinstance(item, dict):
            characters += sum(map(len, item))
            rest.extend((inner, depth + 1) for inner in item.values())
        elif isinstance(item, list | tuple):
            rest.extend((inner, depth + 1) for inner in item)
        elif isinstance(item, str):
            characters += len(item)
        if values + len(rest) > most_values:
            return f"has more than {most_values} values"
        if characters > most_characters:
            return f"has more than {most_characters} characters"
    return ""
