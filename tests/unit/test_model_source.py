"""Where a model comes from. (The hub itself cannot be reached here; its library is called as it is.)"""

from pathlib import Path

import pytest

from llmpipeline_serve.contract.models import ModelArgs
from llmpipeline_serve.model_source import fetch


def test_a_path_is_the_folder(tmp_path: Path) -> None:
    assert fetch(ModelArgs(path=str(tmp_path))) == str(tmp_path)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such folder in this Pod"):
        fetch(ModelArgs(path=str(tmp_path / "none")))


def test_a_folder_of_a_store_is_brought_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pyarrow's own file systems: `file://` here, as `s3://` and `gs://` there."""
    store = tmp_path / "store" / "model"
    (store / "deeper").mkdir(parents=True)
    (store / "config.json").write_text("{}")
    (store / "deeper" / "weights").write_bytes(b"w" * 1000)
    monkeypatch.setenv("LLMPIPELINE_MODEL_CACHE", str(tmp_path / "cache"))
    model = ModelArgs(uri=store.as_uri())
    first = Path(fetch(model))
    assert (first / "config.json").read_text() == "{}"
    assert (first / "deeper" / "weights").stat().st_size == 1000
    (store / "config.json").write_text("changed")
    assert Path(fetch(model)) == first
    assert (first / "config.json").read_text() == "{}"
    assert list((tmp_path / "cache").iterdir()) == [first]


def test_a_store_with_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("LLMPIPELINE_MODEL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="there is nothing"):
        fetch(ModelArgs(uri=(tmp_path / "empty").as_uri()))
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("given", [{}, {"path": "/a", "uri": "s3://b"}])
def test_exactly_one_source(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        ModelArgs(**given)
