"""Where the tests have KubeRay's CRDs from: a folder that is named, the release, or the stand-in."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.cache import AssetsError
from support.kuberay import crds

FILES = {"ray.io_rayclusters.yaml": b"kind: A\n", "ray.io_rayservices.yaml": b"kind: B\n"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name is the base class's
        pass


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server that publishes two small files as the release; the cache is empty, and KUBERAY_CRDS is not set."""
    published = tmp_path / "published"
    published.mkdir()
    for name, content in FILES.items():
        (published / name).write_bytes(content)
    monkeypatch.delenv("KUBERAY_CRDS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(crds, "CHECKSUMS", checksums)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(crds, "ADDRESS", f"http://127.0.0.1:{server.server_port}")
        yield published
        server.shutdown()


def test_the_release_is_fetched_once(release: Path) -> None:
    found = crds.kuberay_crds()
    assert found.own
    assert {it.name: it.read_bytes() for it in found.directory.iterdir()} == FILES
    for file in release.iterdir():
        file.unlink()
    crds._fetched.cache_clear()
    assert crds.kuberay_crds() == found


def test_a_file_with_another_checksum_is_not_kept(release: Path, tmp_path: Path) -> None:
    (release / "ray.io_rayservices.yaml").write_bytes(b"kind: C\n")
    found = crds.kuberay_crds()
    assert (found.directory, found.own) == (crds.STAND_IN, False)
    assert "ray.io_rayservices.yaml does not have the checksum" in found.source
    assert list((tmp_path / "cache" / "llmpipeline").iterdir()) == []


def test_a_file_changed_in_the_cache_is_fetched_again(release: Path) -> None:
    file = crds.kuberay_crds().directory / "ray.io_rayservices.yaml"
    file.write_bytes(b"kind: C\n")
    crds._fetched.cache_clear()
    assert crds.kuberay_crds().own
    assert file.read_bytes() == FILES[file.name]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_where_nobody_answers_the_stand_in_serves(release: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(crds, "ADDRESS", address)
    found = crds.kuberay_crds()
    assert (found.directory, found.own) == (crds.STAND_IN, False)
    assert "OUR STAND-IN" in found.source


def test_a_named_folder_comes_first(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERAY_CRDS", str(release))
    assert (crds.kuberay_crds().directory, crds.kuberay_crds().own) == (release, True)
    monkeypatch.setenv("KUBERAY_CRDS", str(crds.STAND_IN))
    assert not crds.kuberay_crds().own
    monkeypatch.setenv("KUBERAY_CRDS", str(tmp_path))
    with pytest.raises(AssetsError, match=r"has no \*\.yaml"):
        crds.kuberay_crds()
