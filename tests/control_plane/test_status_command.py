"""`llmpipeline status` against a real API server, and the operator behind it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from support.control_plane import Admin, ControlPlane, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL, apply_sample, sample, wait_for

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def ready(admin: Admin, namespace: str) -> None:
    apply_sample(admin, namespace)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")


def start(control_plane: ControlPlane, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "llmpipeline", "status", *arguments]
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(control_plane: ControlPlane, *arguments: str) -> tuple[int, str, str]:
    process = start(control_plane, *arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def change(admin: Admin, namespace: str, *, fits: bool) -> None:
    document = sample(namespace)
    if fits:
        document["spec"]["ray"]["image"] = "registry.example/other:1"
    else:
        document["spec"]["workers"] = [{"name": "small", "maxReplicas": 1, "accelerator": {"type": "L4", "count": 1}}]
        document["spec"]["apps"][1]["openai"]["models"][0]["tensorParallelSize"] = 4
    admin.apply(API, PLURAL, document, field_manager="user", force=True)


@pytest.mark.usefixtures("ready")
def test_it_does_not_wait_for_a_change_that_was_rejected(
    admin: Admin, namespace: str, control_plane: ControlPlane
) -> None:
    change(admin, namespace, fits=False)
    began = time.monotonic()
    code, out, err = run(control_plane, "llmp/quickstart", "-n", namespace, "--wait", "600")
    assert (code, time.monotonic() - began < 30) == (1, True)
    assert "Ready False  DoesNotFit: " in err
    assert "Requests are still answered, perhaps by the version before." in out
    assert run(control_plane, "quickstart", "-n", namespace, "--wait", "30", "--wait-for", "Available")[0] == 0


@pytest.mark.usefixtures("ready")
def test_it_waits_for_a_change_that_is_not_finished(admin: Admin, namespace: str, control_plane: ControlPlane) -> None:
    """From the moment of the change on, when neither the operator nor KubeRay has seen it yet."""
    change(admin, namespace, fits=True)
    process = start(control_plane, "quickstart", "-n", namespace, "--wait", "120")
    try:
        wait_for(admin, namespace, "Ready", "Unknown", "WaitingForKubeRay")
        kuberay.start_upgrade(admin, namespace, "quickstart")
        wait_for(admin, namespace, "Ready", "False", "Upgrading")
        assert process.stderr
        while "Ready False  Upgrading: " not in process.stderr.readline():
            assert process.poll() is None, "the old version answers, and the new one does not yet"
        time.sleep(2)
        assert process.poll() is None
        kuberay.finish_upgrade(admin, namespace, "quickstart")
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "AppsRunning" in out


def test_ctrl_c(namespace: str, control_plane: ControlPlane) -> None:
    process = start(control_plane, "nobody", "-n", namespace, "--wait", "600")
    assert process.stderr
    assert "waiting for it to appear" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


@pytest.mark.usefixtures("ready")
def test_all_of_a_namespace_and_of_all(admin: Admin, namespace: str, control_plane: ControlPlane) -> None:
    code, out, _ = run(control_plane, "-n", namespace)
    assert (code, out.splitlines()[1].split()[:5]) == (0, ["quickstart", "True", "True", "AppsRunning", "2/2"])
    change(admin, namespace, fits=False)
    eventually(lambda: run(control_plane, "-n", namespace)[0] == 1, 30, "it not to be ready")
    everywhere = json.loads(run(control_plane, "-A", "-o", "json")[1])
    assert (namespace, "quickstart") in {(item["namespace"], item["name"]) for item in everywhere}


def test_another_context(namespace: str, control_plane: ControlPlane) -> None:
    code, _, err = run(control_plane, "--context", "nowhere", "-n", namespace)
    assert (code, "nowhere" in err) == (3, True)
    assert run(control_plane, "--context", "test", "-n", namespace)[2].startswith("there is no pipeline in namespace")
