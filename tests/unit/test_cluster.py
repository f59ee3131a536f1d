"""The connection to the API server, as far as it can be tested without one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.kubeconfig import default_namespace


class Configured:
    """Stands for the client: only its configuration is looked at."""

    def __init__(self, token: str | None) -> None:
        async def get_api_key_with_prefix(_: str) -> str | None:
            return token

        self.configuration: Any = SimpleNamespace(
            host="https://10.0.0.1",
            ssl_ca_cert=None,
            cert_file=None,
            key_file=None,
            verify_ssl=True,
            get_api_key_with_prefix=get_api_key_with_prefix,
        )


@pytest.mark.parametrize(("given", "token"), [("Bearer abc", "abc"), ("bearer abc", "abc"), (None, None)])
async def test_the_watches_get_the_token_without_its_scheme(given: str | None, token: str | None) -> None:
    """The client's scheme has a capital with a kubeconfig and none in a Pod."""
    credentials = await Cluster(Configured(given)).credentials()  # type: ignore[arg-type]
    assert credentials.token == token


@pytest.mark.parametrize(("given", "namespace"), [({"namespace": "ml"}, "ml"), ({}, "default")])
def test_commands_ask_where_kubectl_would(
    given: dict[str, str], namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"cluster": {"server": "https://10.0.0.1"}, "name": "here"}
    context = {"name": "here", "context": {"cluster": "here", "user": "me", **given}}
    users = [{"name": "me", "user": {"token": "abc"}}]
    config = {"clusters": [entry], "contexts": [context], "users": users, "current-context": "here"}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert default_namespace() == namespace


def test_without_a_kubeconfig_the_namespace_is_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert default_namespace() == "default"
