"""The `serve` command: the way to the runner of the other package, which knows Ray and nothing of Kubernetes."""

import json
import os
import sys
import tempfile
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from llmpipeline.cli.config_maps import config_maps
from llmpipeline.cli.connection import require
from llmpipeline.cli.documents import read_pipelines
from llmpipeline.cli.duration import SECONDS
from llmpipeline.cli.local_job import local_job
from llmpipeline.cli.options import CLASSES, FILES, NEGATIVE, command, fail, load_or_exit, pipelines_or_exit
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


def _ip_address(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return str(IPv4Address(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an IPv4 address, like 127.0.0.1 or 0.0.0.0") from None


@command(
    "llmpipeline serve pipeline.yaml --tiny-models",
    "llmpipeline serve pipeline.yaml --tiny-models --check --timeout 5m",
    "llmpipeline serve pipeline.yaml --app chat",
)
@FILES
@CLASSES
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
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=_ip_address,
    metavar="ADDRESS",
    help="IPv4 address to listen on; 0.0.0.0 in a container, whose port docker publishes.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to serve on.")
@click.option(
    "--timeout",
    type=SECONDS,
    default="30m",
    show_default=True,
    help="Stop if not every app runs after this time, such as 300, 5m or 1h; 0: never.",
)
def serve(
    files: tuple[str, ...],
    class_files: tuple[str, ...],
    apps: tuple[str, ...],
    tiny_models: bool,
    check: bool,
    host: str,
    port: int,
    timeout: int,
) -> None:
    """Serve a pipeline on this machine, with Ray started here and stopped with it.

    Ray gets the same Serve config as in the cluster. If this machine has no GPU, models run on the CPU. What differs
    from a cluster is a line each on standard error.

    Exits with 1 if an app does not run, and with 3 if something that it needs is not installed or Ray does not start.
    """
    loaded = pipelines_or_exit(load_or_exit(files, class_files=class_files, needs_classes=False), files)
    if len(loaded) != 1:
        fail(f"serve takes one pipeline, and there are {len(loaded)}: name one file", NEGATIVE)
    try:
        made = local_job(
            loaded[0].desired,
            os.environ,
            apps=apps,
            tiny_models=tiny_models,
            check=check,
            host=host,
            port=port,
            timeout=timeout,
            code_folders=_folder_of(loaded[0].file),
            config_maps=config_maps(loaded[0].file),
        )
    except LookupError as error:
        fail(str(error.args[0]), NEGATIVE)
    require("local", "Ray", "ray", "psutil")
    for note in filter(None, (loaded[0].desired.used.note, *made.notes)):
        click.echo(note, err=True)
    _become_runner(made.job)


def _folder_of(file: str) -> list[str]:
    """Where the pipeline's file is, since the code of its Python steps may be next to it."""
    return [str(Path(file).resolve().parent)] if Path(file).is_file() else []


def _become_runner(job: dict[str, Any]) -> NoReturn:
    """This process is replaced, so that signals and exit code are the runner's own."""
    with tempfile.TemporaryFile() as handed_over:
        handed_over.write(json.dumps(job).encode())
        handed_over.seek(0)
        os.dup2(handed_over.fileno(), sys.stdin.fileno())
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", _RUNNER])
