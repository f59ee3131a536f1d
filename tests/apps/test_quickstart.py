"""The quickstart on real Ray and real vLLM, on the CPU: the runner as a person starts, asks and stops it."""

import json
import select
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmpipeline_serve.local.ask import ask
from llmpipeline_serve.local.job import Application
from support.local.runner import START_SECONDS, STOP_SECONDS, Runner, rendered, running, sample_apps
from support.pages import examples, shape

# The applications of the sample, as the cluster's Ray would get them.
HELLO, CHAT = rendered(*sample_apps("quickstart"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Start runners that are gone after the test."""
    started: list[Runner] = []

    def begin(*apps: dict[str, Any], **options: Any) -> Runner:
        started.append(Runner(tmp_path, *apps, **options))
        return started[-1]

    yield begin
    for runner in started:
        runner.end()


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """One running quickstart for all the tests that only ask it."""
    with running(tmp_path_factory.mktemp("quickstart")) as runner:
        yield runner


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)


def post(url: str, body: dict[str, Any]) -> list[bytes]:
    """Return the lines of an answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return list(response)


def question(**options: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Which model is this?"}]
    return {"model": "qwen3-0.6b", "messages": messages, "max_tokens": 24, "ignore_eos": True, **options}


def test_says_what_differs_from_the_cluster(quickstart: Runner) -> None:
    said = "".join(quickstart.err)
    assert "chat: model qwen3-0.6b: a tiny random model made here instead of Qwen/Qwen3-0.6B" in said
    assert "chat: model qwen3-0.6b: on the CPU instead of L4" in said


def test_says_where_the_apps_are(quickstart: Runner) -> None:
    said = "".join(quickstart.out)
    assert f"curl {quickstart.url}/hello\n" in said
    assert f"{quickstart.url}/v1/models\n" in said
    assert f"curl -N {quickstart.url}/v1/chat/completions" in said


def test_hello(quickstart: Runner) -> None:
    answer = get(f"{quickstart.url}/hello")
    assert answer.pop("replica")
    assert answer == {"message": "Hello from llmpipeline", "application": "hello"}


def test_hello_answers_when_it_has_the_whole_request(quickstart: Runner) -> None:
    """A proxy may cut an answer that comes before it has sent the body."""
    with socket.create_connection(("127.0.0.1", quickstart.port), timeout=60) as connection:
        head = ("POST /hello HTTP/1.1", "Host: hello", "Content-Type: application/json", "Content-Length: 2")
        connection.sendall("".join(f"{line}\r\n" for line in (*head, "")).encode())
        early, _, _ = select.select([connection], [], [], 2)
        assert not early
        connection.sendall(b"{}")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_models(quickstart: Runner) -> None:
    assert [model["id"] for model in get(f"{quickstart.url}/v1/models")["data"]] == ["qwen3-0.6b"]


def test_chat(quickstart: Runner) -> None:
    answer = json.loads(b"".join(post(f"{quickstart.url}/v1/chat/completions", question())))
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 24
    assert answer["usage"]["prompt_tokens"] > 0


def test_the_example_on_the_page(quickstart: Runner) -> None:
    """Every field of the page is there and of its type; vLLM adds more with each version."""
    ((_, path, body, answer),) = examples("openai")
    found = shape(json.loads(b"".join(post(f"{quickstart.url}{path}", json.loads(body)))))
    told = shape(json.loads(answer))
    for part, whole in (
        (told.pop("usage"), found["usage"]),
        (told.pop("choices")[0], found["choices"][0]),
        (told, found),
    ):
        assert part.items() <= whole.items()


def test_chat_streams(quickstart: Runner) -> None:
    body = question(stream=True, stream_options={"include_usage": True})
    lines = [line for line in post(f"{quickstart.url}/v1/chat/completions", body) if line.startswith(b"data: {")]
    events = [json.loads(line.removeprefix(b"data: ")) for line in lines]
    pieces = [choice["delta"].get("content") for event in events for choice in event["choices"]]
    assert len([piece for piece in pieces if piece]) > 1
    assert events[-1]["usage"]["completion_tokens"] == 24


def test_the_answers_that_check_prints(quickstart: Runner) -> None:
    answers = list(ask(Application.model_validate(CHAT), quickstart.url))
    assert answers[0] == "chat: models: qwen3-0.6b"
    assert [answer.partition(": '")[0].partition(': "')[0] for answer in answers[1:]] == [
        "chat: qwen3-0.6b",
        "chat: qwen3-0.6b, streamed",
    ]
    assert all("completion tokens)" in answer for answer in answers[1:])


def test_the_dashboard_wants_a_token(quickstart: Runner) -> None:
    port = quickstart.dashboard_option("--port")
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"http://127.0.0.1:{port}/api/serve/applications/")
    assert refused.value.code == 401


def test_the_port_is_taken(quickstart: Runner, start: Any) -> None:
    second = start(HELLO, port=quickstart.port)
    assert second.process.wait(30) == 1
    assert second.err == [f"port {quickstart.port}: Address already in use; choose another with --port\n"]
    assert not second.descendants


def test_ctrl_c_leaves_nothing(quickstart: Runner) -> None:
    assert any("EngineCore" in process.name() for process in quickstart.left())
    folder = Path(quickstart.dashboard_option("--temp-dir"))
    assert folder.exists()
    quickstart.ctrl_c()
    assert quickstart.process.wait(STOP_SECONDS) == 0
    assert quickstart.left() == []
    assert not folder.exists()
    assert list(quickstart.temporary.iterdir()) == []


def test_ctrl_c_twice_while_it_starts(start: Any) -> None:
    runner = start(HELLO)
    runner.wait_for("starting Serve")
    runner.ctrl_c()
    time.sleep(0.5)
    runner.ctrl_c()
    assert runner.process.wait(STOP_SECONDS) == 130
    assert runner.left() == []
    assert not any("Traceback" in line for line in runner.err), "".join(runner.err)


def test_check_asks_and_stops(start: Any) -> None:
    runner = start(HELLO, check=True)
    assert runner.process.wait(START_SECONDS) == 0
    assert runner.out[0].startswith(f'hello: GET {runner.url}/hello: 200 {{"message":"Hello')
    assert runner.left() == []


def test_an_app_that_fails(start: Any) -> None:
    runner = start({"name": "mine", "route_prefix": "/", "import_path": "my_missing_app:build"})
    assert runner.process.wait(START_SECONDS) == 1
    said = "".join(runner.err)
    assert "app mine is DEPLOY_FAILED: " in said
    assert "No module named 'my_missing_app'" in said
    assert "Traceback" not in said
    logs = Path(said.partition("full logs: ")[2].splitlines()[0])
    assert list(logs.iterdir())
    assert runner.left() == []


def test_an_argument_that_an_app_does_not_take(start: Any) -> None:
    """Said before anything is deployed, so there are no logs to name."""
    runner = start(HELLO | {"args": {"mesage": "hi"}})
    assert runner.process.wait(START_SECONDS) == 1
    said = "".join(runner.err)
    assert "app hello: args.mesage: Extra inputs are not permitted" in said
    assert "full logs" not in said
    assert "Traceback" not in said
    assert runner.left() == []
