"""What is sent to the API server: as YAML for server-side apply, and by whom it may be written."""

import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmpipeline.cluster.api_server import server_side_apply
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import Unreachable
from llmpipeline.names import Key

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))  # half a surrogate pair is no text


# YAML takes keys of at most 1,024 characters, escapes included. Those of Kubernetes have at most 317, all plain.
KEYS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=100)


@settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(KEYS, TEXTS | st.lists(TEXTS) | st.integers() | st.booleans() | st.none()))
def test_yaml_reads_what_was_meant(body: dict[str, object]) -> None:
    assert yaml.safe_load(server_side_apply(body, "x")["body"]) == body


@pytest.mark.parametrize(
    "text", ["\U0001f600", "a\\ud83d", "\u2028\u0085\u007f\ufeff", "\u00e9\u4e2d", '"\\', "\t\n\r\x01", "\U0010ffff"]
)
def test_odd_characters(text: str) -> None:
    body = server_side_apply({"text": text}, "x")["body"]
    assert yaml.safe_load(body) == {"text": text}
    assert body.isascii()
    assert "text" in json.dumps(body)


class FakeClient:
    """Notes what is sent, and answers nothing that is looked at."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    async def request(self, method: str, path: str, **parameters: Any) -> Any:
        self.sent.append((method, path, parameters))
        return SimpleNamespace(status=200, read=self._nothing)

    @staticmethod
    async def _nothing() -> bytes:
        return b"{}"


async def test_a_status_is_written_only_to_the_version_that_was_read() -> None:
    """A leader that is late must not overwrite what the next one has written: the API server answers 409."""
    client = FakeClient()
    cluster = Cluster(client)  # type: ignore[arg-type]  # a fake
    await cluster.apply_status(Key("ml", "a"), "uid", "17", {"observedGeneration": 1})
    ((method, path, parameters),) = client.sent
    assert (method, path) == ("patch", "/apis/serving.llmpipeline.dev/v1alpha1/namespaces/ml/llmpipelines/a/status")
    assert yaml.safe_load(parameters["body"])["metadata"] == {
        "name": "a", "namespace": "ml", "uid": "uid", "resourceVersion": "17",
    }  # fmt: skip


async def test_who_may_not_write_does_not_and_may_read() -> None:
    def too_old() -> float:
        raise Unreachable("the lease was not renewed")

    client = FakeClient()
    cluster = Cluster(client, too_old)  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        await cluster.apply_status(Key("ml", "a"), "uid", "17", {})
    assert client.sent == []
    await cluster.rayservice(Key("ml", "a"))
    assert len(client.sent) == 1


@pytest.mark.parametrize("left", [3.0, 60.0])
async def test_a_write_ends_before_the_lease_does(left: float) -> None:
    client = FakeClient()
    cluster = Cluster(client, lambda: left)  # type: ignore[arg-type]
    await cluster.apply_status(Key("ml", "a"), "uid", "17", {})
    assert client.sent[0][2]["_request_timeout"].total == min(left, 15.0)


@pytest.mark.parametrize("answer", [b"<html>sorry</html>", b"", b'{"a":' * 20_000])
async def test_an_answer_that_is_no_json_is_no_defect_of_ours(answer: bytes) -> None:
    """A proxy between us and the API server may say anything, and with status 200."""

    async def said() -> bytes:
        return answer

    client = FakeClient()
    client.request = AsyncMock(return_value=SimpleNamespace(status=200, read=said))  # type: ignore[method-assign]
    with pytest.raises(Unreachable, match="cannot be decoded"):
        await Cluster(client).rayservice(Key("ml", "a"))  # type: ignore[arg-type]
