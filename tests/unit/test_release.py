"""What `make release` builds, from the working tree: what is in it, and that it is the same each time."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from llmpipeline import names
from support.control_plane.assets import helm
from support.repository import ROOT

EPOCH = 1_700_000_000
# Of what the tool alone installs; with pip, and with what Python compiles, it must stay below 40 MB.
MOST_PACKAGES = {"annotated-types", "click", "jinja2", "markupsafe", "pydantic", "pyyaml", "typing-extensions"}
NOT_ALONE = ("aiohttp", "google", "kopf", "kubernetes", "prometheus_client", "psutil", "ray", "torch", "vllm")


def load() -> ModuleType:
    spec = spec_from_file_location("release", ROOT / "hack" / "release.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = load()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the working tree that git knows or would add."""
    to: Path = tmp_path_factory.mktemp("source")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if name.startswith(("operator/", "serve_apps/", "charts/", "hack/krew/")) or "/" not in name:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes((ROOT / name).read_bytes())
    return to


@pytest.fixture(scope="module")
def wheels(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    dist = tmp_path_factory.mktemp("dist")
    release.build_wheels(source, dist, EPOCH)
    return {file.name.partition("-")[0]: file for file in dist.iterdir()}


def metadata(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as opened:
        name = next(it for it in opened.namelist() if it.endswith("/METADATA"))
        return message_from_string(opened.read(name).decode())


def test_the_names_are_ours(wheels: dict[str, Path]) -> None:
    """`llmpipeline` on the package index belongs to somebody else."""
    assert {metadata(wheel)["Name"] for wheel in wheels.values()} == {names.DISTRIBUTION, "llmpipeline-serve"}


def test_nobody_is_asked_to_install_the_name_of_somebody_else() -> None:
    wrong = re.compile(r"""pipx? install (?:-\S+ )*["'`]?llmpipeline(?![-\w])|\bllmpipeline\[""")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and name != "tests/unit/test_release.py":
            assert not wrong.search((ROOT / name).read_text(errors="replace")), name


def test_alone_it_needs_little(wheels: dict[str, Path]) -> None:
    needed = [
        requirement
        for wheel in wheels.values()
        for requirement in metadata(wheel).get_all("Requires-Dist")
        if "extra ==" not in requirement
    ]
    assert {re.split(r"[^A-Za-z0-9-]", it)[0].lower() for it in needed} <= MOST_PACKAGES | {"llmpipeline-serve"}


def test_the_wheels_have_what_they_need(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["llmpipeline_kuberay"]) as opened:
        files = set(opened.namelist())
        programs = next(opened.read(it).decode() for it in files if it.endswith("entry_points.txt"))
    for kind in ("chat", "graph", "ab", "rag"):
        assert f"llmpipeline/cli/starters/{kind}.yaml" in files
    assert any(it.endswith("licenses/LICENSE") for it in files)
    assert {it.partition(" =")[0] for it in programs.splitlines()[1:]} == {
        "llmpipeline",
        "kubectl-llmp",
        "kubectl_complete-llmp",
    }


def test_the_same_bytes_each_time(source: Path, wheels: dict[str, Path], tmp_path: Path) -> None:
    release.build_wheels(source, tmp_path, EPOCH)
    for wheel in wheels.values():
        assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    chart = source / release.CHART
    assert release.chart_archive(chart, EPOCH, "") == release.chart_archive(chart, EPOCH, "")


SCRIPT = """
import sys, io, contextlib
for name in sys.argv[1].split(","):
    sys.modules[name] = None     # an import is a ModuleNotFoundError, as if it were not installed
from click.testing import CliRunner
from llmpipeline.cli.main import main
for line in sys.stdin.read().splitlines():
    result = CliRunner().invoke(main, line.split())
    print(result.exit_code, type(result.exception).__name__, line)
    print("   ", result.stderr.replace(chr(10), " "))
"""
RUN = """init chat chat.yaml
validate chat.yaml
render chat.yaml
plan chat.yaml --from chat.yaml
explain spec.apps
schema
completion bash
--help
status
status x
plan chat.yaml
doctor
open x
logs x
operator
serve chat.yaml"""


def test_without_the_extras(wheels: dict[str, Path], tmp_path: Path) -> None:
    """From the wheels: what needs no cluster works, and the rest says which extra it needs."""
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(tmp_path / "installed")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "KUBECONFIG": "/does/not/exist"}
    command = [sys.executable, "-c", SCRIPT, ",".join(NOT_ALONE)]
    pipes: dict[str, Any] = {"capture_output": True, "text": True, "input": RUN}
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, **pipes)
    lines = done.stdout.splitlines()
    codes = {line.split(" ", 2)[2]: line.split(" ", 2)[:2] for line in lines[::2]}
    said = dict(zip((line.split(" ", 2)[2] for line in lines[::2]), lines[1::2], strict=True))
    for line in RUN.splitlines()[:8]:
        assert codes[line] == ["0", "NoneType"], said[line]
    for line, extra in (
        *((it, "cluster") for it in RUN.splitlines()[8:14]),
        ("operator", "operator"),
        ("serve chat.yaml", "local"),
    ):
        assert codes[line] == ["3", "SystemExit"], line
        assert f'pip install "llmpipeline-kuberay[{extra}]"' in said[line]


# The chart


def chart_of(archive: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        assert opened.getnames()[0] == "llmpipeline-operator/Chart.yaml"
        read = opened.extractfile("llmpipeline-operator/Chart.yaml")
        assert read
        found: dict[str, Any] = yaml.safe_load(read.read())
        return found


def test_helm_takes_the_chart(source: Path, tmp_path: Path) -> None:
    archive = release.chart_archive(source / release.CHART, EPOCH, "https://example.org/x")
    (tmp_path / "chart.tgz").write_bytes(archive)
    linted = subprocess.run([helm(), "lint", "--strict", tmp_path / "chart.tgz"], capture_output=True, text=True)
    assert (linted.returncode, "[INFO]" in linted.stdout) == (0, False), linted.stdout
    rendered = [
        subprocess.run(
            [helm(), "template", "x", chart, "--kube-version", "1.34.0"], capture_output=True, check=True
        ).stdout
        for chart in (tmp_path / "chart.tgz", source / release.CHART)
    ]
    assert rendered[0] == rendered[1]
    assert chart_of(archive)["home"] == "https://example.org/x"


def test_the_metadata_of_the_chart(source: Path) -> None:
    """What Artifact Hub reads: no address of a person, and examples that are valid."""
    chart = chart_of(release.chart_archive(source / release.CHART, EPOCH, ""))
    assert "home" not in chart
    assert all(set(it) == {"name"} for it in chart["maintainers"])
    assert chart["icon"].startswith("data:image/svg+xml;base64,")
    annotations = chart["annotations"]
    (crd,) = yaml.safe_load(annotations["artifacthub.io/crds"])
    assert (crd["kind"], crd["name"]) == (names.KIND, f"{names.PLURAL}.{names.GROUP}")
    from support.pipelines import problems_of

    for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"]):
        assert problems_of(example) == []


# The rest


def test_the_plugin_and_its_manifest(source: Path, tmp_path: Path) -> None:
    release.write_plugin(source, tmp_path, "1.2.3", EPOCH, "https://example.org/v1.2.3", "https://example.org")
    manifest = yaml.safe_load((tmp_path / "krew-llmp.yaml").read_text())
    (platform,) = manifest["spec"]["platforms"]
    archive = tmp_path / "kubectl-llmp-1.2.3.tar.gz"
    assert platform["uri"] == "https://example.org/v1.2.3/kubectl-llmp-1.2.3.tar.gz"
    assert f"{platform['sha256']}  {archive.name}\n" in release.sums(tmp_path)
    assert (manifest["spec"]["version"], manifest["spec"]["homepage"]) == ("v1.2.3", "https://example.org")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    # Without the package it says what to install, and with it it passes on what it gets.
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    run: dict[str, Any] = {"env": environment, "capture_output": True, "text": True}
    done = subprocess.run([tmp_path / "kubectl-llmp", "plan"], **run)
    assert (done.returncode, '"llmpipeline-kuberay[cluster]"' in done.stderr) == (1, True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "llmpipeline").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "bin" / "llmpipeline").chmod(0o755)
    assert subprocess.run([tmp_path / "kubectl-llmp", "plan", "-f", "x"], **run).stdout == "plan -f x\n"


CHANGES = """# Changelog

Text.

## Unreleased

- new

## [0.2.0] - 2026-01-01

### Added

- two

## 0.1.0

- one
"""


@pytest.mark.parametrize(
    ("version", "notes"), [("0.1.0", "- one"), ("0.2.0", "### Added\n\n- two"), ("0.3.0", "- new")]
)
def test_the_release_notes(version: str, notes: str) -> None:
    assert release.release_notes(CHANGES, version) == f"# llmpipeline {version}\n\n{notes}\n"


def test_our_own_changelog_has_notes() -> None:
    assert len(release.release_notes((ROOT / "CHANGELOG.md").read_text(), "0.1.0")) > 1000


def test_versions_agree(source: Path) -> None:
    version = release.version_of(source)
    assert release.inconsistency(source, version) == ""
    assert "Chart.yaml" in release.inconsistency(source, "9.9.9")


def test_checksums_of_all_but_themselves(tmp_path: Path) -> None:
    (tmp_path / "sbom").mkdir()
    (tmp_path / "sbom" / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    (tmp_path / release.SUMS).write_text(release.sums(tmp_path))
    check = subprocess.run(["sha256sum", "--check", release.SUMS], cwd=tmp_path, capture_output=True, text=True)
    assert check.stdout.splitlines() == ["b: OK", "sbom/a: OK"]


def test_the_schema_is_that_of_the_command(source: Path) -> None:
    assert json.loads(release.schema(source))["title"] == names.KIND
