"""The default class of the chart, installed by helm on an API server that does not know classes yet."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from llmpipeline import names
from support.control_plane import ControlPlane
from support.control_plane.assets import helm
from support.control_plane.quickstart import API
from support.repository import CHART

NAMESPACE = "system"


def run(control_plane: ControlPlane, tmp_path: Path, command: str, spec: dict[str, Any] | None) -> str:
    """What helm says against it; empty where it does it."""
    given = {"defaultClass": {"create": spec is not None, **({"spec": spec} if spec is not None else {})}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(given))
    chart = [] if command == "uninstall" else [str(CHART), "-f", str(tmp_path / "values.yaml")]
    to = ["--kubeconfig", str(control_plane.kubeconfig), "-n", NAMESPACE]
    done = subprocess.run([str(helm()), command, "op", *chart, *to], check=False, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def test_it_comes_with_the_chart_and_stays_without_it(tmp_path: Path) -> None:
    with ControlPlane() as empty:  # of its own: the one of the session has our CRDs
        admin = empty.admin()
        admin.create_namespace(NAMESPACE)

        def found() -> dict[str, Any]:
            return admin.get(API, names.CLASS_PLURAL, None, "default")

        assert "install or upgrade first with --set defaultClass.create=false" in run(empty, tmp_path, "install", {})
        assert run(empty, tmp_path, "install", None) == ""
        assert run(empty, tmp_path, "upgrade", {"allowedImages": ["registry.example/*"]}) == ""
        made = found()
        assert made["metadata"]["annotations"][names.ANNOTATION_DEFAULT_CLASS] == "true"
        assert run(empty, tmp_path, "upgrade", {"allowedImages": ["other.example/*"]}) == ""
        assert found()["spec"] == {"allowedImages": ["other.example/*"]}
        assert "allowedImages" in run(empty, tmp_path, "upgrade", {"allowedImages": "all"})
        # What pipelines depend on is not taken away.
        assert run(empty, tmp_path, "upgrade", {}) == ""
        assert run(empty, tmp_path, "uninstall", None) == ""
        assert found()["metadata"]["uid"] == made["metadata"]["uid"]
        assert run(empty, tmp_path, "install", {}) == ""
