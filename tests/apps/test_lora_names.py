"""Ray joins the name of an adapter, which a client sends, to a local directory: where it can lead."""

import os
from pathlib import Path

import pytest
from ray.llm._internal.serve.utils.lora_serve_utils import LoraModelLoader


@pytest.mark.parametrize(
    "name",
    ["a", "..", "../..", "../../../etc", "/etc/cron.d", "a/../../b", ".", "", "x:..", "..:../..", "%2e%2e/a", "a\x00b"],
)
def test_an_adapters_name_stays_within_rays_directory(tmp_path: Path, name: str) -> None:
    """Slashes become dashes, so a name is one step at most: `..` is the parent of the cache, which is Ray's own too."""
    root = tmp_path / "lora" / "cache"
    try:
        path = LoraModelLoader(str(root))._model_dir_path(f"base:{name}")
    except ValueError:  # a null byte
        return
    assert Path(os.path.normpath(path)).is_relative_to(tmp_path / "lora")
