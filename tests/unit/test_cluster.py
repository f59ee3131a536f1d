"""The connection to the API server, as far as it can be told without one."""

from types import SimpleNamespace
from typing import Any

import pytest

from llmpipeline.cluster import Cluster


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
