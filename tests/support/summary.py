"""What tests have printed after the last of them: what they measured, and what they were about."""

from typing import Final

LINES: Final[list[str]] = []


def say(line: str) -> None:
    """Have a line printed after all tests, once, from whichever test process it comes."""
    if line not in LINES:
        LINES.append(line)
