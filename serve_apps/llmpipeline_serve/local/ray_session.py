"""A Ray of one node on this machine, its folder, and the end of both."""

import atexit
import logging
import os
import secrets
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from llmpipeline_serve.local.environment import environment
from llmpipeline_serve.local.errors import RunnerError
from llmpipeline_serve.local.job import Job

_OBJECT_STORE_BYTES = 100 * 2**20
# Ray puts sockets about 75 characters below its folder, and the kernel takes paths of 107.
_LONGEST_TEMPORARY_FOLDER = 16


@dataclass(frozen=True)
class RaySession:
    """A running Ray."""

    dashboard: str
    token: str
    gpus: float


def temporary_folder() -> Path:
    """Make a folder for Ray, its sockets and the tiny models, which goes away with this process.

    When this process exits, Ray may write to it once more. What is registered before Ray is imported runs after that.
    """
    parent = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="llmp-", dir=parent if len(parent) <= _LONGEST_TEMPORARY_FOLDER else "/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def check_port(port: int) -> None:
    """Raise if something else listens on the port that Serve is to have."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RunnerError(f"port {port}: {error.strerror}; choose another with --port", exit_code=1) from error


def start(job: Job, folder: Path) -> RaySession:
    """Start Ray on the loopback, with a token that exists only in this process and those below it."""
    token = secrets.token_hex(32)
    ours = environment(job, inherited=dict(os.environ), folder=folder, token=token)
    os.environ.clear()
    os.environ.update(ours)
    # Ray reads its environment when it is imported.
    import ray

    port = _free_port()
    try:
        ray.init(
            address="local",
            num_cpus=job.cpus,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            dashboard_port=port,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
        )
    except Exception as error:
        raise RunnerError(f"Ray cannot start: {error}".splitlines()[0], exit_code=3) from error
    gpus = ray.cluster_resources().get("GPU", 0)
    return RaySession(dashboard=f"http://127.0.0.1:{port}", token=token, gpus=gpus)


def stop(serving: bool) -> None:
    """Shut Serve down, if it was started, and Ray.

    Not by the REST call: a terminal's Ctrl-C reaches the dashboard too, which then answers no more.
    """
    import ray
    from ray import serve

    if serving:
        serve.shutdown()
    ray.shutdown()


def keep_logs(folder: Path) -> Path:
    """Move Ray's logs out of the folder that is about to be removed, and return where they are."""
    kept = Path(tempfile.mkdtemp(prefix="llmpipeline-logs-"))
    shutil.copytree(folder / "session_latest" / "logs", kept, dirs_exist_ok=True, symlinks=True)
    return kept


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
