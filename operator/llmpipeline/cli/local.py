"""The way from `serve` to the runner of the other package, which knows Ray and nothing of Kubernetes."""

import importlib.util
import json
import os
import sys
import tempfile
from typing import Any, Final, NoReturn

import click

from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.plan.types import Plan
from llmpipeline.render.serve_config import serve_config

_RUNNER: Final = "llmpipeline_serve.local"
_LEAST_CPUS: Final = 8


def run_locally(pipeline: LLMPipeline, plan: Plan, *, tiny_models: bool, check: bool, port: int) -> NoReturn:
    """Becomes the runner: this process is replaced, so that signals and exit code are its own."""
    if importlib.util.find_spec("llmpipeline_serve") is None:
        click.echo("serve needs the Ray apps on this machine; install llmpipeline[local]", err=True)
        sys.exit(2)
    job = local_job(pipeline, plan, tiny_models=tiny_models, check=check, port=port)
    with tempfile.TemporaryFile() as handed_over:
        handed_over.write(json.dumps(job).encode())
        handed_over.seek(0)
        os.dup2(handed_over.fileno(), sys.stdin.fileno())
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", _RUNNER])


def local_job(pipeline: LLMPipeline, plan: Plan, *, tiny_models: bool, check: bool, port: int) -> dict[str, Any]:
    """What the runner is told. `cpus` are Ray's logical ones: enough to place every replica, however few there are."""
    needed = sum(
        demand.replicas[0] * sum(share.cpu_milli + 1000 * share.gpus for share in demand.shares)
        for demand in plan.demands
    )
    return {
        "name": pipeline.metadata.name,
        "serve_config": serve_config(plan),
        "env": {},
        "cpus": max(_LEAST_CPUS, -(-needed // 1000) + 2),
        "port": port,
        "tiny_models": tiny_models,
        "check": check,
    }
