"""Which cluster a command asks, and what it says of a kubeconfig that it cannot use: no traceback for any."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from llmpipeline.cli.connection import answers, why
from llmpipeline.cli.main import main
from llmpipeline.cluster.endpoint import missing
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.kubeconfig import contexts, default_namespace
from llmpipeline.names import Key


def config(server: str = "https://127.0.0.1:1", **user: Any) -> dict[str, Any]:
    return {
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "ml"}}],
        "users": [{"name": "u", "user": user or {"token": "x"}}],
        "current-context": "c",
    }


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def status(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["status", "x", *arguments], catch_exceptions=False)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"hello", "is not an object"),
        (b"[]", "is not an object"),
        (b"a: [", "is not YAML"),
        (b"\x00\xff\xfe", "is not YAML"),
        (b"[" * 10_000, "is not YAML"),
        (b"clusters: 3", "clusters must be a list of objects with a name"),
        (b"users: [3]", "users must be a list of objects with a name"),
        (b"contexts: [{name: [a]}]", "contexts must be a list of objects with a name"),
        (b"clusters: [{name: a, cluster: 3}]", "the field cluster in clusters must be an object"),
        (b"kind: Config", "current-context"),
        (b"current-context: c\ncontexts: [{name: c}]", "no cluster to connect to"),
        (b"current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]", "no cluster to connect to"),
        (yaml.safe_dump(config("127.0.0.1:1")).encode(), "must begin with https://"),
        (yaml.safe_dump(config(exec={"command": "no-such-login", "apiVersion": "v1"})).encode(), "no-such-login"),
        (yaml.safe_dump(config(exec={"command": "false", "apiVersion": "v1"})).encode(), "process returned 1"),
        (yaml.safe_dump(config(exec=3)).encode(), "no cluster to connect to"),
        (yaml.safe_dump(config(**{"client-certificate-data": "%%"})).encode(), "no cluster to connect to"),
        (yaml.safe_dump(config(tokenFile="/no/such/file")).encode(), "/no/such/file"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    result = status()
    assert (result.exit_code, says in result.stderr) == (3, True), result.stderr
    assert str(file) in result.stderr or "the certificates cannot be used" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_there_is_none(file: Path) -> None:
    said = status().stderr
    assert f"{file} does not exist; set KUBECONFIG or pass --kubeconfig" in said
    assert "does not exist" in status("--kubeconfig", "/nowhere").stderr


def test_a_folder(file: Path) -> None:
    file.mkdir()
    assert "cannot be read: Is a directory" in status().stderr


def test_several_files_are_merged_and_missing_ones_passed_over(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = config()
    context = {key: whole.pop(key) for key in ("contexts", "current-context")}
    file.write_text(yaml.safe_dump(whole))
    (tmp_path / "other").write_text(yaml.safe_dump(context))
    for order in ("{0}/none:{0}/config:{0}/other", "{0}/other:{0}/none:{0}/config"):
        monkeypatch.setenv("KUBECONFIG", order.format(tmp_path))
        assert (default_namespace(), contexts()) == ("ml", ["c"])
        assert "Cannot connect to host 127.0.0.1:1" in status().stderr


def test_the_first_current_context_counts(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with kubectl; the client would take the last."""
    file.write_text(yaml.safe_dump(config()))
    other = config("https://127.0.0.1:3")
    other["contexts"][0] = {"name": "d", "context": {"cluster": "k2", "user": "u", "namespace": "search"}}
    other["clusters"][0]["name"], other["current-context"] = "k2", "d"
    (tmp_path / "other").write_text(yaml.safe_dump(other))
    monkeypatch.setenv("KUBECONFIG", f"{file}:{tmp_path / 'other'}")
    assert (default_namespace(), default_namespace("d")) == ("ml", "search")
    assert "127.0.0.1:1" in status().stderr
    assert "127.0.0.1:3" in status("--context", "d").stderr


def test_a_context_that_is_not_there(file: Path) -> None:
    file.write_text(yaml.safe_dump(config()))
    result = status("--context", "nowhere")
    assert (result.exit_code, "object with name nowhere" in result.stderr) == (3, True)


def test_an_option_names_the_file(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "mine"
    other.write_text(yaml.safe_dump(config("https://127.0.0.1:2")))
    for command in (["doctor"], ["status", "x"], ["open", "x", "--port", "0"], ["logs", "x"]):
        result = CliRunner().invoke(main, [*command, "--kubeconfig", str(other)], catch_exceptions=False)
        assert (result.exit_code, "127.0.0.1:2" in result.stderr) == (3, True), command


@pytest.mark.parametrize(
    "command", [["doctor"], ["status"], ["open", "x"], ["logs", "x"], ["plan", "x.yaml"], ["operator"]]
)
def test_without_the_client_the_package_is_named(
    command: list[str], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(main, ["init", "chat", "x.yaml"])
    monkeypatch.setattr("llmpipeline.cli.connection.importlib.util.find_spec", lambda _: None)
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    extra = "operator" if command == ["operator"] else "cluster"
    assert (result.exit_code, f'"llmpipeline-kuberay[{extra}]"' in result.stderr) == (3, True)


def test_an_answer_that_breaks_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match=r"not that of a Kubernetes API server \(KeyError: 'items'\)"), answers():
        raise KeyError("items")
    monkeypatch.setenv("LLMPIPELINE_TRACEBACK", "1")
    with pytest.raises(KeyError), answers():
        raise KeyError("items")


class Somewhere:
    """A cluster without the pipeline that is asked for."""

    def __init__(self, known: bool, elsewhere: tuple[str, ...] = ()) -> None:
        self._known, self._elsewhere = known, elsewhere

    async def knows(self, *_: str) -> bool:
        return self._known

    async def items(self, *_: str, **__: str) -> AsyncIterator[Any]:
        for namespace in self._elsewhere:
            yield {"metadata": {"namespace": namespace}}


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (Somewhere(False), "this cluster does not know llmpipelines.serving.llmpipeline.dev"),
        (Somewhere(True), "there is no pipeline chat in namespace ml"),
        (Somewhere(True, ("search",)), "there is one in namespace search: name it with -n"),
    ],
)
async def test_why_a_pipeline_is_not_there(cluster: Any, says: str) -> None:
    assert says in await missing(cluster, Key("ml", "chat"))


def test_what_to_do_about_a_login_that_is_over() -> None:
    assert why(RequestRejected(401, "Unauthorized")).endswith("(HTTP 401); log in again, or choose another --context")
    assert why(RequestRejected(403, "forbidden")).endswith("(HTTP 403)")
