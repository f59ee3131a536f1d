"""A cluster that has no KubeRay yet, or not even our CRD."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.control_plane import Admin, ControlPlane, OperatorProcess, eventually, install_crds
from support.kuberay.crds import kuberay_crds
from support.repository import ROOT

API, PLURAL = "serving.llmpipeline.dev/v1alpha1", "llmpipelines"


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    with ControlPlane() as running:
        running.admin().bind("operator", "cluster-admin")
        yield running


def start_operator(kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "llmpipeline", "operator"]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_without_our_crd_it_says_what_to_apply(bare: ControlPlane) -> None:
    ended = start_operator(bare.kubeconfig_of("operator"))
    assert ended.returncode == 3
    assert "apply manifests/crds first" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_cluster_it_says_so(tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [cluster],
        "contexts": [context],
    }
    nowhere.write_text(yaml.safe_dump({**config, "users": [{"name": "c", "user": {"token": "t"}}]}))
    ended = start_operator(nowhere)
    assert ended.returncode == 3
    assert "cannot be reached" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_kuberay_missing_is_a_condition_and_passes_when_it_comes(bare: ControlPlane, tmp_path: Path) -> None:
    admin = bare.admin()
    install_crds(admin, ROOT / "manifests" / "crds")
    namespace = admin.create_namespace("bare")
    document = yaml.safe_load((ROOT / "manifests" / "samples" / "hello.yaml").read_text())
    document["metadata"]["namespace"] = namespace
    operator = OperatorProcess(bare.kubeconfig_of("operator"), tmp_path / "operator.log")
    operator.start()
    try:
        admin.create(API, PLURAL, document)
        missing = eventually(lambda: _applied(admin, namespace, "False"), 10, "KubeRayMissing")
        assert missing
        assert missing["reason"] == "KubeRayMissing"
        assert "install KubeRay" in missing["message"]
        install_crds(admin, kuberay_crds().directory)
        assert eventually(lambda: _applied(admin, namespace, "True"), 30, "Applied")
    finally:
        operator.stop()


def _applied(admin: Admin, namespace: str, status: str) -> dict[str, str] | None:
    found = admin.get(API, PLURAL, namespace, "hello").get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == "Applied" and item["status"] == status), None)
