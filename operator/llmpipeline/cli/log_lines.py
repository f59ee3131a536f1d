"""Lines of Ray Serve's logs as a person reads them. Pure.

The operator asks Ray for JSON, an object a line. What a replica prints beside its logger, such as a traceback, is text.
"""

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

_COLOURS: Final = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_TAB: Final = "    "


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log.

    Attributes:
        replica: Whose.
        raw: As Ray has it.
        fields: Its fields; empty if it is text.
        time: When; a line of text has the time of the one before.
    """

    replica: str
    raw: str
    fields: Mapping[str, Any]
    time: str

    def as_text(self) -> str:
        """Time, level, replica and message, then the traceback if there is one."""
        if not self.fields:
            return f"{self.replica}  {printable(self.raw)}"
        level = str(self.fields.get("levelname", ""))
        head: tuple[str, ...] = (
            self.time,
            click.style(printable(level.ljust(7)), fg=_COLOURS.get(level)),
            self.replica,
            printable(str(self.fields.get("message", ""))),
        )
        if request := self.fields.get("request_id"):
            head = (*head, f"[{printable(str(request))}]")
        trace = str(self.fields.get("exc_text") or "")
        return "\n".join(("  ".join(head), *(f"{_TAB}{printable(it)}" for it in trace.splitlines())))

    def as_json(self) -> str:
        """As Ray has it, and with its replica if it is text."""
        return printable(self.raw) if self.fields else json.dumps({"replica": self.replica, "message": self.raw})


def parsed(replica: str, raw: str, before: str = "") -> Line:
    """A line; `before` is the time of the one before."""
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return Line(replica, raw, {}, before)
    return Line(replica, raw, fields, printable(str(fields.get("asctime") or before)))


def in_order(logs: Sequence[Sequence[Line]]) -> Iterator[Line]:
    """The lines of several logs in the order of their times; those of one log keep theirs."""
    return heapq.merge(*logs, key=lambda line: line.time)


def after(lines: Sequence[str], last: str | None) -> Sequence[str]:
    """What follows the last line that was shown; all if it is not among them."""
    if last is None:
        return lines
    found = next((index for index in range(len(lines) - 1, -1, -1) if lines[index] == last), None)
    return lines if found is None else lines[found + 1 :]


def printable(text: str) -> str:
    """Without what moves the cursor of a terminal or changes its title."""
    return "".join(char if char.isprintable() else _TAB if char == "\t" else "" for char in text)
