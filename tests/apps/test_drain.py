"""What Ray does where a Pod's drain begins: the contract that render/drain.py relies on, with Ray's own GCS."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from llmpipeline.render.drain import drain_variables
from support.child_process import Child, free_port

IDLE = "RAY_grpc_client_idle_timeout_ms"
# What `ray start --block` of a worker does: it connects when it starts, and asks for its drain when it has to stop.
WORKER = """
import sys, time
from ray._raylet import GcsClient
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
gcs = GcsClient(address=sys.argv[1])
gcs.internal_kv_get(b"session_name", b"session", timeout=30)
print("connected", flush=True)
sys.stdin.readline()
end = int(time.time() * 1000) + 40_000
print(gcs.drain_node("ab" * 28, DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION, "", end, timeout=8)[0])
"""
HEAD = "head-of-this-test"
# With a file of its own for the names of hosts, which no other process sees.
OWN_NAMES = ("unshare", "-rm", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the GCS of a Ray that runs nothing."""
    port, directory = free_port(), tmp_path_factory.mktemp("r")
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}",
        "--node-ip-address=127.0.0.1", "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats",
        f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}",
        f"--temp-dir={directory}",
    ]  # fmt: skip
    ray = Child(command, directory / "ray.log")
    try:
        deadline = time.monotonic() + 120
        while not _answers(port):
            assert ray.exit_code is None, ray.log_tail()
            assert time.monotonic() < deadline, ray.log_tail()
            time.sleep(0.5)
        yield port
    finally:
        ray.stop(60)


def _answers(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True
    return False


@pytest.fixture
def names(tmp_path: Path) -> Path:
    file = tmp_path / "hosts"
    file.write_text(f"127.0.0.1 localhost {HEAD}\n")
    if subprocess.run([*OWN_NAMES, file, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets no process have names of hosts of its own (unshare)")
    return file


@pytest.mark.parametrize(
    ("idle_milliseconds", "drains"), [("1000", False), (drain_variables(10)[IDLE], True)], ids=["closed", "ours"]
)
def test_a_worker_can_ask_for_its_drain_though_the_name_of_the_head_is_gone(
    gcs: int, names: Path, idle_milliseconds: str, *, drains: bool
) -> None:
    """Of a second instead of Ray's 30 minutes, the first says what happens to a connection that may be closed."""
    worker = subprocess.Popen(
        [*OWN_NAMES, names, sys.executable, "-c", WORKER, f"{HEAD}:{gcs}"], text=True,
        env={**os.environ, IDLE: idle_milliseconds}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    with worker:
        assert worker.stdout
        assert worker.stdout.readline() == "connected\n", worker.communicate()[1]
        time.sleep(5)
        names.write_text("127.0.0.1 localhost\n")
        said, errors = worker.communicate("\n", timeout=120)
    assert (said == "True\n", "Timed out while waiting for GCS" in errors) == (drains, not drains)
