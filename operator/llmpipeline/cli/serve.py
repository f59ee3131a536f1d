"""The `serve` command: the way to the runner of the other package, which knows Ray and nothing of Kubernetes."""

import json
import os
import sys
import tempfile
from typing import Any, Final, NoReturn

import click

from llmpipeline.cli.connection import require
from llmpipeline.cli.documents import read_pipelines
from llmpipeline.cli.duration import SECONDS
from llmpipeline.cli.local_job import local_job
from llmpipeline.cli.options import FILES, NEGATIVE, command, fail, load_or_exit
from llmpipeline.cli.silence import silence

_RUNNER: Final = "llmpipeline_serve.local"


def _complete_app(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The apps of the files that stand before."""
    given = context.params
    # click leaves arguments where they are if the last option has no value yet.
    files = (*(given.get("options") or ()), *(given.get("arguments") or ()), *context.args)
    with silence():
        sound, _ = read_pipelines(file for file in files if file != "-")
    apps = [app.name for one in sound for app in one.desired.pipeline.spec.apps]
    return [name for name in apps if name.startswith(incomplete)]


@command(
    "llmpipeline serve pipeline.yaml --tiny-models",
    "llmpipeline serve pipeline.yaml --tiny-models --check --timeout 5m",
    "llmpipeline serve pipeline.yaml --app chat",
)
@FILES
@click.option(
    "--app",
    "apps",
    multiple=True,
    metavar="NAME",
    shell_complete=_complete_app,
    help="Serve this app alone, and those that a trafficSplit passes requests on to. May be given several times.",
)
@click.option(
    "--tiny-models", is_flag=True, help="Replace every model by a tiny random one made here; nothing is downloaded."
)
@click.option("--check", is_flag=True, help="Ask every app one question, print the answers and stop.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to serve on.")
@click.option(
    "--timeout",
    type=SECONDS,
    default="30m",
    show_default=True,
    help="Stop if not every app runs after this time, such as 300, 5m or 1h; 0: never.",
)
def serve(
    files: tuple[str, ...], apps: tuple[str, ...], tiny_models: bool, check: bool, port: int, timeout: int
) -> None:
    """Serve a pipeline on this machine, with Ray started here and stopped with it.

    Ray gets the same Serve config as in the cluster. If this machine has no GPU, models run on the CPU. What differs
    from a cluster is a line each on standard error.

    Exits with 1 if an app does not run, and with 3 if Ray is not installed or does not start.
    """
    loaded = load_or_exit(files)
    if len(loaded) != 1:
        fail(f"serve takes one pipeline, and there are {len(loaded)}: name one file", NEGATIVE)
    try:
        made = local_job(
            loaded[0].desired,
            os.environ,
            apps=apps,
            tiny_models=tiny_models,
            check=check,
            port=port,
            timeout=timeout,
        )
    except LookupError as error:
        fail(str(error.args[0]), NEGATIVE)
    require("local", "Ray", "ray", "psutil")
    for note in made.notes:
        click.echo(note, err=True)
    _become_runner(made.job)


def _become_runner(job: dict[str, Any]) -> NoReturn:
    """This process is replaced, so that signals and exit code are the runner's own."""
    with tempfile.TemporaryFile() as handed_over:
        handed_over.write(json.dumps(job).encode())
        handed_over.seek(0)
        os.dup2(handed_over.fileno(), sys.stdin.fileno())
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", _RUNNER])
