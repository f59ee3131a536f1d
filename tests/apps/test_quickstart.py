"""The quickstart on real Ray and real vLLM, on the CPU: the runner as a person starts, asks and stops it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.plan.plan import make_plan
from llmpipeline.render.serve_config import serve_config
from llmpipeline_serve.local.ask import ask
from llmpipeline_serve.local.job import Application

ROOT = Path(__file__).parents[2]
# With nothing in the page cache, importing vLLM alone takes minutes.
START_SECONDS = 400
STOP_SECONDS = 60

SAMPLE = ROOT / "manifests" / "samples" / "quickstart.yaml"


def sample_apps() -> list[dict[str, Any]]:
    """The applications of the sample, as the cluster's Ray would get them."""
    parsed = parse(yaml.safe_load(SAMPLE.read_text()))
    assert isinstance(parsed, LLMPipeline)
    apps: list[dict[str, Any]] = serve_config(make_plan(parsed))["applications"]
    return apps


HELLO, CHAT = sample_apps()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Runner:
    """The runner as a subprocess in a process group of its own, as a shell would start it."""

    def __init__(self, temporary: Path, *apps: dict[str, Any], port: int = 0, check: bool = False) -> None:
        """With apps, the runner with a job of these; without, `llmpipeline serve` with the sample."""
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.temporary = temporary
        options = ["--tiny-models", "--port", str(self.port)]
        command = ["llmpipeline_serve.local"] if apps else ["llmpipeline", "serve", "-f", str(SAMPLE), *options]
        search_path = os.pathsep.join(str(ROOT / package) for package in ("serve_apps", "operator"))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": search_path, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
        assert self.process.stdin
        if apps:
            self.process.stdin.write(json.dumps(self._job(list(apps), check=check)))
        self.process.stdin.close()
        self.out: list[str] = []
        self.err: list[str] = []
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=lambda s=stream, to=lines: to.extend(s), daemon=True).start()
        self.descendants: set[psutil.Process] = set()
        threading.Thread(target=self._watch, daemon=True).start()

    def _job(self, apps: list[dict[str, Any]], *, check: bool) -> dict[str, Any]:
        config = {"http_options": {"host": "0.0.0.0", "port": 8000}, "applications": apps}
        rest = {"name": "test", "env": {}, "cpus": 8, "port": self.port, "tiny_models": True, "check": check}
        return {"serve_config": config, **rest}

    def _watch(self) -> None:
        """Remember every process that ever was below the runner."""
        while self.process.poll() is None:
            try:
                self.descendants |= set(psutil.Process(self.process.pid).children(recursive=True))
            except psutil.NoSuchProcess:
                return
            time.sleep(0.1)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not any(text in line for line in self.err):
            assert self.process.poll() is None, "".join(self.err)
            assert time.monotonic() < deadline, "".join(self.err)
            time.sleep(0.2)

    def ctrl_c(self) -> None:
        """Signal the whole process group, which is what a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def left(self) -> list[psutil.Process]:
        return [p for p in self.descendants if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def dashboard_option(self, name: str) -> str:
        """Return an option of the command that Ray's dashboard runs as."""
        commands = (process.cmdline() for process in self.left())
        dashboard = next(command for command in commands if any("dashboard/dashboard.py" in word for word in command))
        return next(word.partition("=")[2] for word in dashboard if word.startswith(f"{name}="))

    def end(self) -> None:
        """Whatever a test did, leave nothing behind: ours are the runner and what we saw below it."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
        for process in self.left():
            process.kill()


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
    runner = Runner(tmp_path_factory.mktemp("quickstart"))
    try:
        runner.wait_for("Ctrl-C stops it")
        yield runner
    finally:
        runner.end()


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


def test_models(quickstart: Runner) -> None:
    assert [model["id"] for model in get(f"{quickstart.url}/v1/models")["data"]] == ["qwen3-0.6b"]


def test_chat(quickstart: Runner) -> None:
    answer = json.loads(b"".join(post(f"{quickstart.url}/v1/chat/completions", question())))
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 24
    assert answer["usage"]["prompt_tokens"] > 0


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


@pytest.mark.parametrize(
    ("app", "named"),
    [
        (
            {"name": "mine", "route_prefix": "/", "import_path": "my_missing_app:build"},
            "No module named 'my_missing_app'",
        ),
        (HELLO | {"args": {"mesage": "hi"}}, "mesage Extra inputs are not permitted"),
    ],
)
def test_an_app_that_fails(start: Any, app: dict[str, Any], named: str) -> None:
    runner = start(app)
    assert runner.process.wait(START_SECONDS) == 1
    said = "".join(runner.err)
    assert f"app {app['name']} is DEPLOY_FAILED: " in said
    assert named in said
    assert "Traceback" not in said
    logs = Path(said.partition("full logs: ")[2].splitlines()[0])
    assert list(logs.iterdir())
    assert runner.left() == []
