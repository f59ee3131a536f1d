"""`llmpipeline open`: what ends it before the cluster is asked. The rest: `test_local_proxy` and `control_plane`."""

import socket

import pytest
from click.testing import CliRunner

from llmpipeline.cli.forwarding import described
from llmpipeline.cli.main import main
from llmpipeline.cluster.endpoint import Endpoint
from llmpipeline.names import Key


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/does/not/exist")


@pytest.mark.parametrize("name", ["../x", "llmp/", "", "chat/status"])
def test_a_wrong_name(name: str) -> None:
    result = CliRunner().invoke(main, ["open", name])
    assert (result.exit_code, "cannot be the name" in result.stderr) == (2, True)


def test_no_cluster() -> None:
    result = CliRunner().invoke(main, ["open", "chat", "--port", "0", "--context", "nowhere"])
    assert (result.exit_code, "no cluster to connect to" in result.stderr) == (3, True)


def test_a_port_in_use_is_found_before_the_cluster_is_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(main, ["open", "chat", "--port", str(taken.getsockname()[1])])
    assert (result.exit_code, "name another one with --port" in result.stderr) == (1, True)


def test_the_token_is_in_no_message() -> None:
    endpoint = Endpoint("chat-1", Key("ml", "chat-1-head"), "uid", 8265, pending="chat-2", token="s3cret")
    assert "s3cret" not in repr(endpoint) + described(endpoint)
    assert described(endpoint) == (
        "forwarding to port 8265 of Pod chat-1-head of RayCluster chat-1, which takes the requests; an update is in "
        "progress, and RayCluster chat-2 comes up"
    )
