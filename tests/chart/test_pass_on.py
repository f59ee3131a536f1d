"""The chart's `passOn`: which labels and annotations of pipelines the operator passes on."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from support.control_plane.assets import helm
from support.repository import CHART


def run(pass_on: Any) -> subprocess.CompletedProcess[str]:
    command = [str(helm()), "template", "op", str(CHART), "--kube-version", "1.34.0"]
    given = [] if pass_on == {} else ["--set-json", f"passOn={json.dumps(pass_on)}"]
    return subprocess.run([*command, *given], check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("pass_on", "arguments"),
    [
        ({}, ["--pass-on-label=kueue.x-k8s.io/"]),
        ({"labels": ["team", "example.com/"]}, ["--pass-on-label=team", "--pass-on-label=example.com/"]),
        ({"labels": []}, ["--pass-on-label="]),
        (
            {"annotations": ["example.com/cost"]},
            ["--pass-on-label=kueue.x-k8s.io/", "--pass-on-annotation=example.com/cost"],
        ),
        (None, []),
    ],
    ids=["default", "labels", "none", "annotations", "values of an older release"],
)
def test_arguments(pass_on: Any, arguments: list[str]) -> None:
    done = run(pass_on)
    assert done.returncode == 0, done.stderr
    (deployment,) = [it for it in yaml.safe_load_all(done.stdout) if it and it["kind"] == "Deployment"]
    given = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [it for it in given if it.startswith("--pass-on")] == arguments


@pytest.mark.parametrize(
    "key", ["serving.llmpipeline.dev/", "ray.io/x", "app.kubernetes.io/", "kubectl.kubernetes.io/x"]
)
def test_reserved_keys_are_rejected(key: str) -> None:
    for kind in ("labels", "annotations"):
        done = run({kind: [key]})
        assert done.returncode != 0
        assert f"passOn: {key} cannot be passed on: it is reserved for Kubernetes tools and the operator" in done.stderr
