"""The one line of a long error message from Ray that says what is wrong. Pure."""

import re

# An exception at the start of a line: "ValueError: …", "ray.exceptions.RayTaskError(X): …".
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt|Warning)(?:\(.*?\))?: ")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NOISE = ("For further information visit",)


def reason(message: str) -> str:
    """Return what a message says, without tracebacks: the last exception in it, with the lines that belong to it."""
    lines = [_ANSI.sub("", line).rstrip() for line in message.strip().splitlines()]
    starts = [number for number, line in enumerate(lines) if _EXCEPTION.match(line)]
    if not starts:
        return " ".join(line.strip() for line in lines if line.strip())
    last = lines[starts[-1] :]
    said = []
    for line in last:
        if not line.strip() or line.startswith("Traceback") or line.strip().startswith("File "):
            break
        if not line.strip().startswith(_NOISE):
            said.append(line.strip())
    return " ".join(said)
