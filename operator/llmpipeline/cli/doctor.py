"""The `doctor` command: asking the cluster, and showing what is found."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import click

from llmpipeline.cli.cluster_options import CLUSTER
from llmpipeline.cli.connection import ask, require_client
from llmpipeline.cli.options import NEGATIVE, OUTPUT, UNREACHABLE, as_json, command, fail, one_namespace, wants_colour
from llmpipeline.cluster.errors import Unreachable
from llmpipeline.doctor.types import CRD_CHECKS, Finding

_MARKS: Final = {"Ok": "ok", "Warning": "warn", "Problem": "PROBLEM", "Unknown": "unknown"}
_COLOURS: Final = {"Ok": "green", "Warning": "yellow", "Problem": "red", "Unknown": "cyan"}


@command(
    "llmpipeline doctor",
    "llmpipeline doctor --namespace ml -o json",
    "llmpipeline doctor --as system:serviceaccount:llmpipeline-system:llmpipeline-operator",
)
@click.option(
    "-n",
    "--namespace",
    callback=one_namespace,
    help="Ask whether pipelines can run in this namespace alone. Default: all.",
)
@click.option("--as", "user", metavar="USER", help="Ask for this user's rights, like the operator's service account.")
@CLUSTER
@OUTPUT
def doctor(namespace: str | None, context: str | None, user: str | None, output: str) -> None:
    """Report whether this cluster can run pipelines, and what to do if it cannot. Nothing is changed.

    The cluster is the one of the kubeconfig (KUBECONFIG) or, in a Pod, its own. The exit code is 1 if there is a
    problem, or if you may not read whether the CRDs are installed, and 3 if the cluster cannot be reached.
    """
    require_client()
    try:
        findings = examine(namespace, user, context)
    except Unreachable as unreachable:
        fail(str(unreachable), UNREACHABLE)
    text = as_json([asdict(finding) for finding in findings]) if output == "json" else as_table(findings)
    click.echo(text, color=wants_colour())
    if any(map(_is_negative, findings)):
        sys.exit(NEGATIVE)


def _is_negative(finding: Finding) -> bool:
    """A script that goes on after exit code 0 relies on it that pipelines are known here."""
    return finding.verdict == "Problem" or (finding.verdict == "Unknown" and finding.check in CRD_CHECKS)


def examine(namespace: str | None, user: str | None, context: str | None = None) -> list[Finding]:
    """What is found in the cluster.

    Raises:
        Unreachable: The cluster does not answer.
    """
    return ask(_examine(namespace, user, context))


async def _examine(namespace: str | None, user: str | None, context: str | None) -> list[Finding]:
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.facts import read_facts
    from llmpipeline.doctor.diagnose import diagnose

    async with connect(context=context) as cluster:
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
