"""The `serve` command: the way to the runner of the other package, which knows Ray and nothing of Kubernetes."""

import importlib.util
import json
import os
import sys
import tempfile
from typing import Any, Final, NoReturn

import click

from llmpipeline.cli.options import FILES, NEGATIVE, command, fail, load_or_exit
from llmpipeline.desired import Desired
from llmpipeline.render.environment import tracing_variables
from llmpipeline.render.serve_config import serve_config

_RUNNER: Final = "llmpipeline_serve.local"
_LEAST_CPUS: Final = 8


@command(
    "llmpipeline serve -f manifests/samples/quickstart.yaml --tiny-models",
    "llmpipeline serve -f pipeline.yaml --tiny-models --check",
)
@FILES
@click.option(
    "--tiny-models", is_flag=True, help="Replace every model by a tiny random one made here; nothing is downloaded."
)
@click.option("--check", is_flag=True, help="Ask every app one question, print the answers and stop.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to serve on.")
def serve(files: tuple[str, ...], tiny_models: bool, check: bool, port: int) -> None:
    """Serve a pipeline on this machine, with Ray started here and stopped with it.

    Ray gets the same Serve config as in the cluster. If this machine has no GPU, models run on the CPU.
    """
    loaded = load_or_exit(files)
    if len(loaded) != 1:
        fail(f"serve takes one pipeline, and there are {len(loaded)}: name one file", NEGATIVE)
    _become_runner(local_job(loaded[0].desired, tiny_models=tiny_models, check=check, port=port))


def local_job(desired: Desired, *, tiny_models: bool, check: bool, port: int) -> dict[str, Any]:
    """What the runner gets. `cpus` are Ray's logical ones: enough to place every replica, however few there are."""
    plan = desired.plan
    needed = sum(
        demand.replicas.minimum * sum(share.cpu_milli + 1000 * share.gpus for share in demand.shares)
        for demand in plan.demands
    )
    return {
        "name": desired.metadata.name,
        "serve_config": serve_config(plan),
        "cpus": max(_LEAST_CPUS, -(-needed // 1000) + 2),
        "port": port,
        "tiny_models": tiny_models,
        "check": check,
        "variables": tracing_variables(desired.pipeline),
    }


def _become_runner(job: dict[str, Any]) -> NoReturn:
    """This process is replaced, so that signals and exit code are the runner's own."""
    if importlib.util.find_spec("ray") is None:
        fail("serve needs Ray and the apps' own packages on this machine; install llmpipeline[local]", 2)
    with tempfile.TemporaryFile() as handed_over:
        handed_over.write(json.dumps(job).encode())
        handed_over.seek(0)
        os.dup2(handed_over.fileno(), sys.stdin.fileno())
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", _RUNNER])
