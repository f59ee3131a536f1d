"""The `validate` command."""

import sys
from collections.abc import Iterable
from typing import Any

import click

from llmpipeline.cli.documents import LoadedClass, LoadedPipeline, LocatedProblem, read_files
from llmpipeline.cli.options import CLASSES, FILES, NAMESPACE, NEGATIVE, OUTPUT, as_json, command
from llmpipeline.names import Key
from llmpipeline.problems import format_path


@command(
    "llmpipeline validate pipeline.yaml pipelines/",
    "helm template . | llmpipeline validate -f - -n ml",
    "llmpipeline validate pipelines/ -o json",
)
@FILES
@CLASSES
@NAMESPACE
@OUTPUT
def validate(files: tuple[str, ...], class_files: tuple[str, ...], namespace: str | None, output: str) -> None:
    """Report all that the API server and the operator would reject. No cluster is asked.

    Files may hold classes too. Of a class that is in no file, nothing is checked, and a line says so.
    """
    loaded = read_files(files, namespace or "", class_files=class_files)
    problems = loaded.problems
    if output == "json":
        click.echo(as_json(list(_objects(problems))))
    else:
        for problem in problems:
            click.echo(str(problem), err=True)
        for given in loaded.classes:
            click.echo(_class_as_valid(given))
        for one in loaded.pipelines:
            click.echo(_as_valid(one))
            for note in filter(None, (one.desired.used.note, *one.desired.plan.notes)):
                click.echo(f"{one.file}: {one.key.name}: {note}", err=True)
        for repeated in _repeated(loaded.pipelines):
            click.echo(repeated, err=True)
    if problems:
        sys.exit(NEGATIVE)


def _class_as_valid(loaded: LoadedClass) -> str:
    what = "default class" if loaded.is_default else "class"
    return f"{loaded.file}: {what} {loaded.name} is valid"


def _as_valid(loaded: LoadedPipeline) -> str:
    """A line on a pipeline that is valid: its apps and GPUs."""
    least, most = loaded.desired.plan.gpus
    gpus = f"{least} to {most} GPUs" if least != most else "1 GPU" if least == 1 else f"{least} GPUs"
    apps = ", ".join(app.name for app in loaded.desired.pipeline.spec.apps)
    return f"{loaded.file}: {loaded.key.name} is valid: apps {apps}; {gpus}"


def _repeated(pipelines: Iterable[LoadedPipeline]) -> Iterable[str]:
    """A line on each pipeline that replaces another of these files when they are applied."""
    first: dict[Key, str] = {}
    for one in pipelines:
        if one.key in first:
            yield f"{one.file}: {one.key.name}: {first[one.key]} has a pipeline of this name too; the last one is kept"
        first.setdefault(one.key, one.file)


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
