"""Each sample's manifests, byte for byte. A difference under rayClusterConfig rebuilds the cluster of every user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from llmpipeline.cli.main import main
from support.repository import ROOT

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))


def render(sample: Path) -> str:
    result = CliRunner().invoke(main, ["render", "-f", str(sample)])
    assert result.exit_code == 0, result.output
    return result.stdout


def render_in_new_process(sample: Path, seed: str) -> str:
    command = [sys.executable, "-m", "llmpipeline", "render", "-f", str(sample)]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.run(command, env=environment, cwd="/", check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_sample(sample: Path, request: pytest.FixtureRequest) -> None:
    golden = Path(__file__).parent / sample.name
    rendered = render(sample)
    if request.config.getoption("--update-golden"):
        golden.write_text(rendered)
    assert rendered == golden.read_text(), f"{golden.name} differs; read the difference, then make golden"


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in Path(__file__).parent.glob("*.yaml")} == {path.name for path in SAMPLES}


def test_the_bytes_do_not_depend_on_hashing() -> None:
    sample = SAMPLES[0]
    rendered = {render_in_new_process(sample, seed) for seed in ("0", "1", "4242")}
    assert rendered == {render(sample)}


def test_render_imports_neither_kopf_nor_ray() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from llmpipeline.cli.main import main;"
        f"result = CliRunner().invoke(main, ['render', '-f', {str(SAMPLES[0])!r}]); assert result.exit_code == 0;"
        "print([name for name in ('kopf', 'ray', 'kubernetes', 'vllm') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
