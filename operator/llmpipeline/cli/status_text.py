"""A pipeline's status as a person reads it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import click

from llmpipeline.api.status import Condition, Status
from llmpipeline.cli.columns import aligned
from llmpipeline.conditions import Available, Ready, Reconciling, Stalled
from llmpipeline.names import Manifest

NOT_PROCESSED: Final = "no operator has processed it yet; check that one runs and watches this namespace"
_COLOURS: Final = {"True": "green", "False": "red", "Unknown": "yellow"}
_HEADINGS: Final = ("NAMESPACE", "NAME", "READY", "AVAILABLE", "REASON", "APPS", "GPUS", "AGE", "MESSAGE")
_LONGEST_IN_TABLE: Final = 120
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def as_text(document: Manifest) -> str:
    """Conditions, apps with their deployments, GPUs, the RayService and the last change."""
    metadata, status = document["metadata"], Status.of(document)
    head = f"{metadata['namespace']}/{metadata['name']}  {status.url or ''}".rstrip()
    if not status.conditions:
        return f"{head}\n  {NOT_PROCESSED}"
    return "\n".join((head, *_conditions(document, status), *_stage(status), *_apps(status), *_rest(status)))


def as_table(documents: list[Manifest], now: datetime, *, namespaces: bool) -> str:
    """A line for each pipeline, under headings; with the namespace of each if there are several."""
    rows = [_HEADINGS, *(_row(document, now) for document in documents)]
    shown = [row if namespaces else row[1:] for row in rows]
    return "\n".join(aligned(shown))


def in_a_line(document: Manifest) -> str:
    """What matters most to someone who waits: the condition Ready with its reason and message."""
    ready = Status.of(document).condition(Ready.TYPE)
    if not ready or not is_current(document, ready):
        return "the operator has not processed the newest generation yet"
    return f"{Ready.TYPE} {ready.status}  {ready.reason}: {ready.message}"


def is_current(document: Manifest, condition: Condition) -> bool:
    """Whether a condition is about the newest generation."""
    return bool(condition.observed_generation == document["metadata"]["generation"])


def _row(document: Manifest, now: datetime) -> tuple[str, ...]:
    metadata, status = document["metadata"], Status.of(document)
    ready, available = status.condition(Ready.TYPE), status.condition(Available.TYPE)
    message = " ".join(ready.message.split()) if ready and ready.status != "True" else ""
    return (
        metadata["namespace"],
        metadata["name"],
        ready.status if ready else "Unknown",
        available.status if available else "Unknown",
        ready.reason if ready else "NotProcessed",
        status.ready_apps or "",
        str(status.gpus.requested) if status.gpus else "",
        _age(metadata["creationTimestamp"], now),
        message if len(message) <= _LONGEST_IN_TABLE else f"{message[: _LONGEST_IN_TABLE - 1]}…",
    )


def _age(since: str, now: datetime) -> str:
    seconds = int((now - datetime.strptime(since, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)).total_seconds())
    return next((f"{seconds // size}{unit}" for size, unit in _UNITS if seconds >= size), "0s")


def _conditions(document: Manifest, status: Status) -> Iterator[str]:
    width = max((len(item.type) for item in status.conditions), default=0)
    for item in status.conditions:
        truth = click.style(item.status.ljust(7), fg=_colour(item))
        old = "" if is_current(document, item) else " (of an older generation)"
        yield f"  {item.type.ljust(width)}  {truth}  {item.reason}: {item.message}{old}"


def _colour(condition: Condition) -> str | None:
    if condition.type == Reconciling.TYPE:  # neither truth is a fault
        return None
    if condition.type == Stalled.TYPE:
        return _COLOURS["False"] if condition.status == "True" else None
    return _COLOURS[condition.status]


def _stage(status: Status) -> Iterator[str]:
    if status.stage:
        yield f"  stage  {status.stage.name} since {status.stage.since}  {status.stage.message or ''}".rstrip()


def _apps(status: Status) -> Iterator[str]:
    for app in status.apps:
        yield f"  app {app.name}  {app.state}  {app.url or ''}".rstrip()
        if app.last_failure:
            yield f"    failed {app.failures} times, last at {app.last_failure.time}: {app.last_failure.message}"
        for item in app.deployments:
            yield f"    {item.name}  {item.state}  {item.message or ''}".rstrip()


def _rest(status: Status) -> Iterator[str]:
    if status.gpus:
        yield f"  GPUs  {status.gpus.requested} requested, at most {status.gpus.maximum}"
    service = status.ray_service
    for name, cluster in (
        ("activeCluster", service and service.active_cluster),
        ("pendingCluster", service and service.pending_cluster),
    ):
        if cluster:
            yield f"  {name}  {cluster}"
    if status.last_edit:
        yield f"  last change  {status.last_edit.effect}: {status.last_edit.message}"
