"""`llmpipeline status --slo`: what it asks, what it makes of the answers, and how it ends."""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.cli.main import main
from llmpipeline.monitoring.slo import Question, Verdict, all_met, is_window, questions, value_of

MODELS = [{"name": "m", "source": {"huggingFace": {"repository": "Qwen/Qwen3-8B"}}, "accelerator": {"type": "L4"}}]
ALL = {"latencyP99Milliseconds": 2000, "timeToFirstTokenP95Milliseconds": 500, "errorRatePercent": 0.07}


def document(*objectives: dict[str, Any] | None) -> dict[str, Any]:
    """A pipeline as the API server has it; each app has these objectives."""
    apps = [
        {"name": f"app{number}", "routePrefix": f"/{number}", "openai": {"models": MODELS}}
        | ({"objectives": given} if given else {})
        for number, given in enumerate(objectives)
    ]
    return {
        "apiVersion": "serving.llmpipeline.dev/v1alpha1",
        "kind": "LLMPipeline",
        "metadata": {"namespace": "ml", "name": "chat", "uid": "1", "generation": 2, "managedFields": [{}]},
        "spec": {"ray": {"version": "2.56.1", "image": "example.org/ray:1"}, "apps": apps},
        "status": {"observedGeneration": 2},
    }


def asked(*objectives: dict[str, Any] | None, window: str = "1h") -> list[Question]:
    pipeline = parse(document(*objectives))
    assert isinstance(pipeline, LLMPipeline), pipeline
    return list(questions(pipeline, window))


def vector(*values: str) -> dict[str, Any]:
    result = [{"metric": {"app": "app0"}, "value": [1790000000.123, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_only_the_objectives_that_are_given_are_asked() -> None:
    found = asked(ALL, None, {"latencyP99Milliseconds": 60000})
    assert [(it.app, it.objective, it.target, it.unit) for it in found] == [
        ("app0", "latencyP99Milliseconds", 2000, "ms"),
        ("app0", "timeToFirstTokenP95Milliseconds", 500, "ms"),
        ("app0", "errorRatePercent", 0.07, "%"),
        ("app2", "latencyP99Milliseconds", 60000, "ms"),
    ]
    assert asked(None) == []


def test_the_expressions_are_of_the_app_and_the_window() -> None:
    for question in asked(ALL, window="7d"):
        assert 'namespace="ml", pipeline="chat", app="app0"' in question.expression
        assert "[7d]" in question.expression
        assert "[10m]" not in question.expression, "replicas that are gone by now count as well"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (vector("0.25"), 0.25),
        (vector("0"), 0),
        (vector("1", "3", "NaN", "2"), 3),
        (vector(), None),
        (vector("NaN"), None),
        (vector("+Inf"), None),
    ],
)
def test_the_number_in_an_answer(answer: Any, value: float | None) -> None:
    assert value_of(answer) == value


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"data": None}, {"data": {"result": [{"value": [1]}]}}, vector("x"), {"data": {"result": [[1]]}}],
)  # fmt: skip
def test_what_is_no_answer_of_prometheus(answer: Any) -> None:
    with pytest.raises(ValueError, match="no vector"):
        value_of(answer)


def test_verdicts() -> None:
    latency, _, failed = asked(ALL)
    assert [Verdict(latency, answer).met for answer in (2.0, 2.0001, None)] == [True, False, None]
    assert [Verdict(failed, answer).met for answer in (0.0, 0.0007, 0.00071)] == [True, True, False]
    assert (Verdict(latency, 1.5).measured, Verdict(failed, 0.5).measured) == (1500, 50)
    assert all_met([Verdict(latency, 1.0), Verdict(failed, None)]) is True
    assert all_met([Verdict(latency, 1.0), Verdict(failed, 0.5)]) is False
    assert all_met([Verdict(latency, None)]) is None
    assert all_met([]) is None


@pytest.mark.parametrize(
    ("text", "sound"),
    [("5m", True), ("1h", True), ("7d", True), ("30s", False), ("1h30m", False), ("0m", False), ("1w", False),
     ("-1h", False), ("1h]", False), ("1h\n", False), ("", False), ("99999d", False)],
)  # fmt: skip
def test_windows(text: str, sound: bool) -> None:
    assert is_window(text) is sound


class FakePrometheus(HTTPServer):
    """Answers every query alike, or by the word in it; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[tuple[str, str]] = []
        self.status, self.headers = 200, {"Content-Type": "application/json"}
        self.body: bytes = b""
        self.by_word: dict[str, Any] = {}

    def answers(self, **by_word: Any) -> None:
        self.by_word = by_word

    def says(self, status: int, body: Any, **headers: str) -> None:
        self.status, self.headers = status, headers
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


class _Handler(BaseHTTPRequestHandler):
    server: FakePrometheus

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)["query"][0]
        self.server.asked.append((parts.path, query))
        found = [answer for word, answer in self.server.by_word.items() if word in query]
        body = json.dumps(found[0]).encode() if found else self.server.body
        self.send_response(self.server.status)
        for name, value in {**self.server.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    with FakePrometheus() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The pipelines by name, where a cluster would be."""
    there: dict[str, Any] = {"chat": document(ALL)}

    class FakeCluster:
        async def read(self, kind: str, key: Any) -> Any:
            return there.get(key.name)

        async def knows(self, *_: Any) -> bool:
            return True

        async def items(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            return
            yield

    @asynccontextmanager
    async def connect(**_: Any) -> AsyncIterator[FakeCluster]:
        yield FakeCluster()

    monkeypatch.setattr("llmpipeline.cluster.client.connect", connect)
    monkeypatch.setattr("llmpipeline.cluster.kubeconfig.default_namespace", lambda _: "ml")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("LLMPIPELINE_PROMETHEUS", raising=False)
    return there


def run(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["status", *arguments], env=environment)


def slo(url: str, *arguments: str) -> Result:
    return run("chat", "--slo", "--prometheus", url, *arguments)


def test_a_table(prometheus: FakePrometheus) -> None:
    prometheus.answers(latency_ms=vector("1.9876543"), first_token=vector("0.75"), status_code=vector("0"))
    result = slo(f"{prometheus.url}/", "--window", "5m")
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.splitlines() == [
        "APP    OBJECTIVE                         TARGET    MEASURED      MET",
        "app0   latencyP99Milliseconds            2000 ms   1987.654 ms   yes",
        "app0   timeToFirstTokenP95Milliseconds   500 ms    750 ms        no",
        "app0   errorRatePercent                  0.07 %    0 %           yes",
    ]
    assert {path for path, _ in prometheus.asked} == {"/api/v1/query"}
    assert all("[5m]" in query for _, query in prometheus.asked)


def test_what_has_no_data_is_not_judged(prometheus: FakePrometheus) -> None:
    prometheus.answers(latency_ms=vector("1"), first_token=vector("NaN"), status_code=vector())
    result = run("chat", "--slo", environment={"LLMPIPELINE_PROMETHEUS": prometheus.url})
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["MET", "yes", "data", "data"]


def test_json(prometheus: FakePrometheus, cluster: dict[str, Any]) -> None:
    cluster["chat"] = document({"latencyP99Milliseconds": 2000, "errorRatePercent": 1})
    prometheus.answers(latency_ms=vector("NaN"), status_code=vector("0.005"))
    result = slo(prometheus.url, "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout, parse_constant=pytest.fail) == {
        "namespace": "ml", "name": "chat", "window": "1h", "met": True,
        "objectives": [
            {"app": "app0", "objective": "latencyP99Milliseconds", "target": 2000, "measured": None, "unit": "ms",
             "met": None},
            {"app": "app0", "objective": "errorRatePercent", "target": 1, "measured": 0.5, "unit": "%", "met": True},
        ],
    }  # fmt: skip


def test_nothing_can_be_said(prometheus: FakePrometheus, cluster: dict[str, Any]) -> None:
    prometheus.says(200, vector())
    result = slo(prometheus.url)
    assert (result.exit_code, "no data" in result.stdout) == (1, True)
    assert "no data for these objectives in the last 1h: there was no traffic" in result.stderr
    cluster["chat"] = document(None, {})
    result = slo(prometheus.url, "-o", "json")
    assert (result.exit_code, json.loads(result.stdout)["objectives"]) == (1, [])
    assert (
        "set latencyP99Milliseconds, timeToFirstTokenP95Milliseconds or errorRatePercent in spec.apps[].objectives"
        in result.stderr
    )
    assert slo(prometheus.url).stdout == ""
    cluster.clear()
    result = slo(prometheus.url)
    assert (result.exit_code, "no pipeline chat in namespace ml" in result.stderr) == (1, True)
    cluster["chat"] = {**document(None), "spec": {"apps": "x"}}
    result = slo(prometheus.url)
    assert (result.exit_code, "spec.apps" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error: \x1b[2Junexpected"},
         "rejects the query: parse error: [2Junexpected (HTTP 400)"),
        (503, b"Service\n  Unavailable", "rejects the query: Service Unavailable (HTTP 503)"),
        (401, b"", "rejects the query: Unauthorized (HTTP 401)"),
        (200, b"<html>Log in</html>", "does not answer as Prometheus does"),
        (200, b"[" * 100_000, "does not answer as Prometheus does"),
        (200, b"\xff\xfe\x00", "does not answer as Prometheus does"),
        (200, {"status": "success"}, "does not answer as Prometheus does"),
        (200, b" " * (8 * 1024 * 1024 + 1), "more than 8 MiB"),
    ],
)  # fmt: skip
def test_prometheus_has_no_answer(prometheus: FakePrometheus, status: int, body: Any, says: str) -> None:
    prometheus.says(status, body)
    result = slo(prometheus.url)
    assert (result.exit_code, result.stdout) == (3, "")
    assert prometheus.url in result.stderr
    assert says in result.stderr
    assert len(result.stderr) < 500


def test_prometheus_sends_to_a_file(prometheus: FakePrometheus) -> None:
    for target in ("file:///etc/hosts", "ftp://127.0.0.1/x"):
        prometheus.says(302, b"", Location=target)
        result = slo(prometheus.url)
        assert (result.exit_code, result.stdout) == (3, ""), result.stderr


def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        result = slo(url)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"Prometheus at {url} cannot be reached: Connection refused\n"


def test_the_server_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmpipeline.cli.slo._SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = slo(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (result.exit_code, "does not answer within 0.1 s" in result.stderr) == (3, True), result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--slo", "--prometheus", "http://x"], "--slo needs the NAME"),
        (["-A", "--slo", "--prometheus", "http://x"], "--slo needs the NAME"),
        (["chat", "--slo", "--prometheus", "http://x", "--watch"], "no --watch"),
        (["chat", "--slo", "--prometheus", "http://x", "--wait", "5"], "no --watch, --wait"),
        (["chat", "--slo", "--prometheus", "http://x", "--wait-for", "Ready"], "or --wait-for"),
        (["chat", "--slo"], "LLMPIPELINE_PROMETHEUS"),
        (["chat", "--slo", "--prometheus", "localhost:9090"], "is a URL such as"),
        (["chat", "--slo", "--prometheus", "file:///etc/passwd"], "is a URL such as"),
        (["chat", "--slo", "--prometheus", "http://me:secret@x"], "without user"),
        (["chat", "--slo", "--prometheus", "http://x/?a=b"], "without user, password or query"),
        (["chat", "--slo", "--prometheus", "http://x", "--window", "30s"], "such as 5m, 1h or 7d"),
        (["chat", "--window", "5m"], "need --slo"),
        (["chat", "--prometheus", "http://x"], "need --slo"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, says in " ".join(result.stderr.split())) == (2, True), result.stderr
    assert "secret" not in result.stderr


def test_the_variable_alone_changes_nothing(cluster: dict[str, Any]) -> None:
    result = run("chat", environment={"LLMPIPELINE_PROMETHEUS": "nonsense"})
    assert (result.exit_code, "ml/chat" in result.stdout) == (1, True), result.stderr
