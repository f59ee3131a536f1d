"""What components write about themselves, as plain text of bounded length. It is input: it may be anything."""

import re
from typing import Final

# Colours and other commands to a terminal.
_ANSI: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
# Of what is looked at: messages of a megabyte exist.
_MOST_READ: Final = 64 * 1024
_MESSAGE_LENGTH: Final = 1000
# pydantic ends its errors with a link; what was wrong stands before it.
_POINTER: Final = "For further information visit"
# How Python and Ray end a traceback: the name of the error, and what it says.
_ERROR: Final = re.compile(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|Exit)\b.*")
_LAST_LINES: Final = 3
# A frame of a stack trace of Ray's own, in C++: `function(+0x12) [0x7f33]`.
_FRAME: Final = re.compile(r"\[0x[0-9a-f]+\]|^@ +0x")


def plain(text: object, most: int = _MESSAGE_LENGTH) -> str:
    """On one line, without control characters, and shortened in the middle if it has more than `most` characters."""
    if not isinstance(text, str):
        return ""
    ends = text if len(text) <= _MOST_READ else text[: _MOST_READ // 2] + text[-_MOST_READ // 2 :]
    line = " ".join(_printable(ends).split())
    half = (most - 5) // 2
    return line if len(line) <= most else f"{line[:half]} ... {line[-half:]}"


def last_line(message: object) -> str:
    """The line of a traceback that says what happened: the last that is not empty."""
    lines = _lines(message)
    return plain(lines[-1]) if lines else ""


def last_words(log: object) -> str:
    """The end of a log that says why a process ended: the last error of a traceback, or else the last lines."""
    everything = _lines(log)
    lines = [line for line in everything if not _FRAME.search(line)]
    if everything and not lines:
        return "the log ends with a stack trace; `kubectl logs --previous` shows what came before it"
    error = next((line for line in reversed(lines) if _ERROR.fullmatch(line)), None)
    return plain(error or " / ".join(lines[-_LAST_LINES:]), 500)


def _lines(text: object) -> list[str]:
    if not isinstance(text, str):
        return []
    lines = (line.strip() for line in _printable(text[-_MOST_READ:]).splitlines())
    return [line for line in lines if line and _POINTER not in line]


def _printable(text: str) -> str:
    """Without what a terminal would obey, and what is no text (half a surrogate pair)."""
    shown = _UNPRINTABLE.sub("", _ANSI.sub("", text))
    return shown.encode(errors="replace").decode()
