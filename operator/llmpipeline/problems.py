"""What is wrong with a resource, said so that a person can fix it."""

from collections.abc import Iterable
from dataclasses import dataclass

from llmpipeline.conditions import Accepted, Reason

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: Where, from the root of the document: `("spec", "apps", 0, "routePrefix")`.
        message: What is wrong, without the path.
        remedy: What to do about it; empty if the message says it.
        reason: The condition reason that the operator reports for it.
    """

    path: Path
    message: str
    remedy: str = ""
    reason: Reason = Accepted.INVALID_SPEC

    def __str__(self) -> str:
        text = f"{format_path(self.path)}: {self.message}" if self.path else self.message
        return f"{text}; {self.remedy}" if self.remedy else text


def format_path(path: Path) -> str:
    """`("spec", "apps", 0, "name")` -> `spec.apps[0].name`, the form that the API server uses."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def summarize(problems: Iterable[Problem], limit: int = 3) -> str:
    """One line for a condition's message: the first problems whole, the rest counted."""
    listed = list(problems)
    text = " | ".join(str(problem) for problem in listed[:limit])
    return text if len(listed) <= limit else f"{text} | and {len(listed) - limit} more"
