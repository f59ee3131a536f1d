"""The `status` command: a pipeline's own status, as a person reads it."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import click

from llmpipeline import names
from llmpipeline.cli.connection import ask
from llmpipeline.cluster import Key, Manifest, connect

_INTERVAL: Final = 1.0
_COLOURS: Final = {"True": "green", "False": "red", "Unknown": "yellow"}
# Progressing is no fault when true, nor when false.
_NEUTRAL: Final = names.PROGRESSING


def follow(namespace: str, name: str, condition: str, *, watch: bool, seconds: int | None) -> Iterator[Manifest | None]:
    """The pipeline as it is; with `watch` again whenever it changed; with `seconds` once.

    Raises:
        Unreachable: The cluster does not answer.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    shown: Manifest | None = None
    while True:
        found = ask(_read(Key(namespace, name)))
        over = deadline is None or time.monotonic() >= deadline or (found is not None and is_true(found, condition))
        if (watch and found != shown) or (not watch and over):
            yield found
            shown = found
        if over and not watch:
            return
        time.sleep(_INTERVAL)


async def _read(key: Key) -> Manifest | None:
    async with connect() as cluster:
        return await cluster.pipeline(key)


def is_true(document: Manifest, condition: str) -> bool:
    """Whether the status says so of the newest generation."""
    said = next((item for item in _conditions(document) if item["type"] == condition), None)
    return bool(said and said["status"] == "True" and _is_current(document, said))


def as_json(document: Manifest) -> str:
    """The status as the cluster has it."""
    return json.dumps(document.get("status") or {}, indent=2, ensure_ascii=False)


def as_text(document: Manifest) -> str:
    """Conditions, apps with their deployments, GPUs, the RayService and the last edit."""
    status: dict[str, Any] = document.get("status") or {}
    metadata = document["metadata"]
    lines = [f"{metadata['namespace']}/{metadata['name']}  {status.get('url', '')}".rstrip()]
    if not status:
        return f"{lines[0]}\n  no operator has looked at it yet: is one running that watches this namespace?"
    lines += [_condition(document, item) for item in _conditions(document)]
    for app in status.get("apps", ()):
        lines.append(f"  app {app['name']}  {app['state']}  {app.get('url', '')}".rstrip())
        lines += [f"    {item['name']}  {item['state']}  {item.get('message', '')}".rstrip() for item in _below(app)]
    gpus = status.get("gpus")
    if gpus:
        lines.append(f"  GPUs  {gpus['requested']} requested, {gpus['maximum']} at the most")
    service = status.get("rayService", {})
    for which in ("activeCluster", "pendingCluster"):
        if which in service:
            lines.append(f"  {which}  {service[which]}")
    if edit := status.get("lastEdit"):
        lines.append(f"  last edit  {edit['effect']}: {edit['message']}")
    return "\n".join(lines)


def _condition(document: Manifest, item: dict[str, Any]) -> str:
    colour = None if item["type"] == _NEUTRAL else _COLOURS.get(item["status"])
    truth = click.style(item["status"].ljust(7), fg=colour)
    old = "" if _is_current(document, item) else " (of an older generation)"
    return f"  {item['type'].ljust(11)}  {truth}  {item['reason']}: {item['message']}{old}"


def _is_current(document: Manifest, item: dict[str, Any]) -> bool:
    return bool(item["observedGeneration"] == document["metadata"]["generation"])


def _conditions(document: Manifest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (document.get("status") or {}).get("conditions") or []
    return found


def _below(app: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app.get("deployments") or []
    return found
