"""The page "Add a kind of app", applied block by block to a copy of the repository: the new app passes and answers."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.child_process import free_port
from support.local.runner import START_SECONDS
from support.repository import DOCS, ROOT

PAGE = DOCS / "add-a-kind-of-app.md"
MOST_EXISTING_FILES = 8
_BLOCK = re.compile(r'^(`{3,})(\w+) title="([^"]+)"\n(.*?)^\1$', re.DOTALL | re.MULTILINE)


def blocks() -> list[tuple[str, str, str]]:
    """Language, path and text of each block of the page that has a path."""
    return [(language, path, text) for _, language, path, text in _BLOCK.findall(PAGE.read_text())]


def added(text: str, hunk: str) -> str:
    """A file with a hunk of the page: its lines without those added are in the file once, and are replaced."""
    lines = hunk.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    assert text.count(before) == 1, f"{text.count(before)} times in the file: {before}"
    return text.replace(before, after)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the app of the page, and with what is generated from it."""
    to = tmp_path_factory.mktemp("repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, stdout=-1
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)
    for language, path, text in blocks():
        if language == "diff":
            for hunk in text.split("@@\n"):
                (to / path).write_text(added((to / path).read_text(), hunk))
        else:
            assert not (to / path).exists(), f"{path} is there already"
            (to / path).write_text(text)
    run(to, "hack/generate.py")
    run(to, "-m", "pytest", "-q", "tests/golden", "tests/contract/test_field_effects.py", "--update-golden")
    return to


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(copy / folder) for folder in ("operator", "serve_apps", "tests"))
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, timeout=START_SECONDS
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def test_it_touches_few_existing_files() -> None:
    existing = {path for language, path, _ in blocks() if language == "diff"}
    assert 0 < len(existing) <= MOST_EXISTING_FILES


def test_it_is_generated_and_within_the_rules_of_the_house(copy: Path) -> None:
    run(copy, "hack/generate.py", "--check")
    run(copy, "-m", "ruff", "check", ".")
    run(copy, "-m", "ruff", "format", "--check", ".")
    run(copy, "-m", "mypy", "operator/llmpipeline", "serve_apps/llmpipeline_serve")
    run(copy, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")
    assert "echo:" in (copy / "manifests" / "crds" / "llmpipelines.serving.llmpipeline.dev.yaml").read_text()


def test_it_passes_the_tests(copy: Path) -> None:
    # Those of what changes do have run, as the page's table was written; the fuzz tests take what they know.
    left = [f"--ignore=tests/contract/test_{name}.py" for name in ("field_effects", "fuzz", "fuzz_cli")]
    run(copy, "-m", "pytest", "-q", "tests/golden", "tests/contract", "tests/unit/test_docs_site.py", *left)


def test_it_answers(copy: Path) -> None:
    sample = str(copy / "manifests" / "samples" / "echo.yaml")
    ended = run(copy, "-m", "llmpipeline", "serve", "-f", sample, "--check", "--port", str(free_port()))
    assert '{"text":"hello hello hello"}' in ended.stdout
