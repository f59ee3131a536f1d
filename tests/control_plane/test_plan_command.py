"""`llmpipeline plan` against a real API server, and the companion objects that the operator has made there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.control_plane import Admin, ControlPlane
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL, sample, wait_for

pytestmark = pytest.mark.usefixtures("operator")


def plan(kubeconfig: Path, tmp_path: Path, document: dict[str, Any], *options: str) -> tuple[int, dict[str, Any]]:
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(document))
    command = [sys.executable, "-P", "-m", "llmpipeline", "plan", "-o", "json", *options]
    ended = subprocess.run(
        [*command, "-f", str(tmp_path / "pipeline.yaml")],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout, ended.stderr
    (found,) = json.loads(ended.stdout)
    return ended.returncode, found


def guarded(namespace: str) -> dict[str, Any]:
    document = sample(namespace)
    document["spec"] |= {"disruption": {"minAvailableWorkers": 1}, "network": {"policy": {}}}
    return document


def test_companion_objects(admin: Admin, namespace: str, control_plane: ControlPlane, tmp_path: Path) -> None:
    admin.create(API, PLURAL, guarded(namespace))
    wait_for(admin, namespace, "Applied", "True")
    code, same = plan(control_plane.kubeconfig, tmp_path, guarded(namespace))
    assert (code, same["effect"], same["message"]) == (0, "Unchanged", "Nothing changes.")
    _, gone = plan(control_plane.kubeconfig, tmp_path, sample(namespace))
    assert "PodDisruptionBudget quickstart is removed, NetworkPolicy quickstart is removed" in gone["message"]
    more = guarded(namespace)
    more["spec"]["network"] |= {"ingress": {"host": "a.example"}, "httpRoute": {"gateway": {"name": "g"}}}
    more["spec"]["disruption"]["minAvailableWorkers"] = 2
    _, found = plan(control_plane.kubeconfig, tmp_path, more)
    assert "PodDisruptionBudget quickstart changes, Ingress quickstart is added" in found["message"]
    # This API server has no Gateway API.
    assert "cannot be read, so what becomes of them is not known: HTTPRoute." in found["message"]


def test_an_upgrade_in_progress_and_the_reason_for_another(
    admin: Admin, namespace: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    admin.create(API, PLURAL, sample(namespace))
    wait_for(admin, namespace, "Applied", "True")
    kuberay.make_ready(admin, namespace, "quickstart")
    kuberay.start_upgrade(admin, namespace, "quickstart")
    third = sample(namespace)
    third["spec"]["ray"]["image"] = "registry.example/third:1"
    code, found = plan(control_plane.kubeconfig, tmp_path, third, "--fail-on", "NewCluster")
    assert (code, found["effect"]) == (1, "NewCluster")
    assert [it["field"] for it in found["reasons"]] == ["ray.image"]
    assert "An upgrade is in progress; the new change replaces it" in found["message"]
