"""What is new about a pipeline between two statuses, as its events and the operator's log say it. Pure."""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from llmpipeline.api.status import Condition, Status
from llmpipeline.conditions import Available, Ready, Reconciling

# What is no fault: something moves, or rests as asked.
_FINE: Final = frozenset(
    {
        Ready.APPS_RUNNING.word,
        Available.SUSPENDED.word,
        Available.PODS_PENDING.word,
        Available.NO_ENDPOINTS.word,
        Available.APPS_DEPLOYING.word,
        *(value.word for value in vars(Reconciling).values() if hasattr(value, "word")),
    }
) - {Reconciling.STALLED.word}
# Of a pipeline that is new: there is nothing to say yet.
_FIRST: Final = frozenset({Reconciling.WAITING_FOR_KUBERAY.word, Reconciling.INITIALIZING.word})
_UPDATED: Final = "Updated"


class News(NamedTuple):
    """One event: its type and reason for programs, and a message for people."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def news_of(previous: Status, status: Status) -> tuple[News, ...]:
    """What is new, in the order in which a reader wants it.

    Args:
        previous: The status so far; empty for a new pipeline.
        status: The status now.
    """
    return (*_update(previous, status), *_transitions(previous, status))


def _update(previous: Status, status: Status) -> Iterator[News]:
    edit = status.last_edit
    if edit and edit != previous.last_edit and edit.effect != "Unchanged":
        yield News("Normal", _UPDATED, f"Generation {edit.observed_generation}: {edit.effect}: {edit.message}")


def _transitions(previous: Status, status: Status) -> Iterator[News]:
    before, ready = previous.condition(Ready.TYPE), status.condition(Ready.TYPE)
    if ready and _differs(before, ready) and (before or ready.reason not in _FIRST):
        yield News(_type_of(ready), ready.reason, ready.message)
    was, available = previous.condition(Available.TYPE), status.condition(Available.TYPE)
    if was and available and (was.status == "True") != (available.status == "True"):
        is_lost = available.status == "False" and available.reason != Available.SUSPENDED.word
        text = "Requests are answered." if available.status == "True" else available.message
        if not (ready and ready.reason == available.reason):  # else it has been said
            yield News("Warning" if is_lost else "Normal", available.reason, text)


def _differs(before: Condition | None, after: Condition) -> bool:
    """Messages have counts that change all the time: they are no news."""
    return before is None or (before.status, before.reason) != (after.status, after.reason)


def _type_of(condition: Condition) -> Literal["Normal", "Warning"]:
    return "Normal" if condition.reason in _FINE else "Warning"
