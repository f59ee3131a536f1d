"""The `doctor` command: asking the cluster, and showing what is found."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import click

from llmpipeline.cli.connection import ask
from llmpipeline.cluster import connect
from llmpipeline.doctor.diagnose import diagnose
from llmpipeline.doctor.types import Finding
from llmpipeline.facts import read_facts

_MARKS: Final = {"Ok": "ok", "Warning": "warn", "Problem": "PROBLEM", "Unknown": "unknown"}
_COLOURS: Final = {"Ok": "green", "Warning": "yellow", "Problem": "red", "Unknown": "cyan"}


def examine(namespace: str | None, user: str | None) -> list[Finding]:
    """What is found in the cluster. Raises `Unreachable`."""
    return ask(_examine(namespace, user))


async def _examine(namespace: str | None, user: str | None) -> list[Finding]:
    async with connect() as cluster:
        return diagnose(await read_facts(cluster, namespace, user))


def as_table(findings: Sequence[Finding]) -> str:
    """A line for each finding, and what to do on the next."""
    marks = max(len(mark) for mark in _MARKS.values())
    checks = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        mark = click.style(_MARKS[finding.verdict].ljust(marks), fg=_COLOURS[finding.verdict])
        lines.append(f"{mark}  {finding.check.ljust(checks)}  {finding.message}")
        if finding.remedy:
            lines.append(f"{' ' * (marks + checks + 4)}-> {finding.remedy}")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """A JSON list of objects with check, verdict, message and remedy."""
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False)
