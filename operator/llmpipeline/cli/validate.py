"""The `validate` command."""

import sys
from collections.abc import Iterable
from typing import Any

import click

from llmpipeline.cli.documents import LoadedPipeline, LocatedProblem, read_pipelines
from llmpipeline.cli.options import FILES, NAMESPACE, NEGATIVE, OUTPUT, as_json, command
from llmpipeline.problems import format_path


@command(
    "llmpipeline validate pipeline.yaml pipelines/",
    "helm template . | llmpipeline validate -f - -n ml",
    "llmpipeline validate pipelines/ -o json",
)
@FILES
@NAMESPACE
@OUTPUT
def validate(files: tuple[str, ...], namespace: str | None, output: str) -> None:
    """Report all that the API server and the operator would reject. No cluster is asked."""
    sound, problems = read_pipelines(files, namespace or "")
    if output == "json":
        click.echo(as_json(list(_objects(problems))))
    else:
        for problem in problems:
            click.echo(str(problem), err=True)
        for loaded in sound:
            click.echo(_as_valid(loaded))
            for note in loaded.desired.plan.notes:
                click.echo(f"{loaded.file}: {loaded.key.name}: {note}", err=True)
    if problems:
        sys.exit(NEGATIVE)


def _as_valid(loaded: LoadedPipeline) -> str:
    """A line on a pipeline that is valid: its apps and GPUs."""
    least, most = loaded.desired.plan.gpus
    gpus = f"{least} to {most} GPUs" if least != most else "1 GPU" if least == 1 else f"{least} GPUs"
    apps = ", ".join(app.name for app in loaded.desired.pipeline.spec.apps)
    return f"{loaded.file}: {loaded.key.name} is valid: apps {apps}; {gpus}"


def _objects(problems: Iterable[LocatedProblem]) -> Iterable[dict[str, Any]]:
    for located in problems:
        problem = located.problem
        yield {
            "file": located.file,
            "line": located.line,
            "field": format_path(problem.path),
            "message": problem.message,
            "remedy": problem.remedy,
            "reason": problem.reason.word,
        }
