"""The environment that Ray and everything below it run in. Pure, and applied before Ray is imported."""

import os
from collections.abc import Mapping
from pathlib import Path

from llmpipeline_serve.local.job import Job

# Each would point this Ray at another cluster, or make Serve differ from what the Serve config says.
_UNWANTED = ("RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_AUTH_TOKEN_PATH")


def environment(job: Job, inherited: Mapping[str, str], folder: Path, token: str) -> dict[str, str]:
    """Return the whole environment for this job: what is inherited, then ours, which wins."""
    kept = {k: v for k, v in inherited.items() if k not in _UNWANTED and not k.startswith("RAY_SERVE_")}
    ours = {
        # Anyone who reaches the dashboard may run code, so even on the loopback it asks for a token.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        # Despite its name: where it is off, Ray's own processes listen on the loopback only, on Linux too.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Under `uv run`, Ray would otherwise copy the working directory into each worker and build its own venv.
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        # vLLM and torch leave sockets and caches in the temporary directory.
        "TMPDIR": str(folder),
        # A custom app is imported from the directory that the command was started in, as `serve run` does, or from
        # that of the pipeline's file.
        "PYTHONPATH": os.pathsep.join(filter(None, [inherited.get("PYTHONPATH"), str(Path.cwd()), *job.code_folders])),
    }
    if kept.pop("PYTHONDONTWRITEBYTECODE", None):
        # Every replica and engine imports vLLM again. With nothing compiled anywhere that takes twice as long, so
        # compile into the folder that goes away with the run, which keeps the promise as well.
        ours["PYTHONPYCACHEPREFIX"] = str(folder / "pycache")
    if job.tiny_models:
        ours |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return {**kept, **job.variables, **ours}
