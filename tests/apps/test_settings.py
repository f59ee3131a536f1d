"""Settings that change while the apps run, on real Ray Serve, vLLM and Transformers.

The replicas stay, the next answers obey, and no request fails or sees half of a change.
"""

import concurrent.futures
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.local.asking import HUB, SMALL, Answer, ask
from support.local.http_service import serving_http, url_of
from support.local.runner import Runner, as_in_pods, rendered, running

TEXT = "the quick brown fox jumps over the lazy dog"
CLIENTS = 2
# Ray Serve's controller hands settings to the replicas within a second; a loaded machine takes longer.
WITHIN = 60


class _Service(http.server.BaseHTTPRequestHandler):
    """What an http node calls: it answers with the path."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with serving_http(_Service) as server:
        yield url_of(server)


def hello(message: str) -> dict[str, Any]:
    return {"name": "hello", "hello": {"message": message, "replicas": 2, "resources": SMALL}}


def generate(**fields: Any) -> dict[str, Any]:
    return {"name": "generate", "generate": {"model": HUB, "resources": SMALL, **fields}}


def vectors(**fields: Any) -> dict[str, Any]:
    return {
        "name": "vectors",
        "batch": {"embed": {"model": HUB, **fields.pop("embed", {})}, "resources": SMALL, **fields},
    }


def graph(word: str, service: str, *, words: int = 100, tokens: int = 4, **ingress: Any) -> dict[str, Any]:
    """A graph with each kind of settings: the word is in a template, in the answer's shape and in a service's path."""
    echoed = {"custom": {"importPath": "own_code:echo"}, "input": f"{{'word': '{word}'}}"}
    nodes: list[dict[str, Any]] = [
        {"name": "clean", "preprocess": {"lowercase": word == "new"}},
        {"name": "nap", "custom": {"importPath": "own_code:sleep"}},
        {"name": "said", "after": ["nap"], **echoed},
        {"name": "call", "http": {"url": f"{service}/{word}"}},
        {"name": "short", "after": ["clean"], "summarize": {"model": HUB, "minimumWords": words, "maxTokens": 4}},
        {
            "name": "reply",
            "when": "request.reply|default(false)",
            "generate": {"model": HUB, "prompt": f"{word}: {{{{ request.text }}}}", "sampling": {"maxTokens": tokens}},
        },
    ]
    output = {
        "clean": "clean.text", "said": "said.word", "shaped": f"'{word}'", "call": "call.body",
        "summarized": "short.summarized", "reply": "reply.usage", "nap": "nap.ended - nap.began",
    }  # fmt: skip
    for node in nodes:
        node["resources"] = SMALL
    return {"name": "graph", "graph": {"nodes": nodes, "output": output, "ingress": {"resources": SMALL, **ingress}}}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory, service: str) -> Iterator[Runner]:
    own = {"name": "own", "custom": {"importPath": "llmpipeline_serve.hello:build", "args": {"message": "mine"}}}
    apps = rendered(own, hello("old"), generate(sampling={"maxTokens": 4}), vectors(), graph("old", service))
    with running(tmp_path_factory.mktemp("settings"), *apps, cpus=16, env=as_in_pods()) as started:
        yield started


def replicas(runner: Runner, app: str) -> dict[str, set[str]]:
    """The replicas that there are, by deployment, whatever they do."""
    deployments = runner.applications()[app]["deployments"]
    return {name: {replica["replica_id"] for replica in it["replicas"]} for name, it in deployments.items()}


def change(runner: Runner, resource: dict[str, Any]) -> None:
    """A change of one app in the resource, as KubeRay sends it: with what the runner did to its models."""
    (app,) = rendered(resource)
    apps = {name: found["deployed_app_config"] for name, found in runner.applications().items()}
    deployed = {it["name"]: it for it in apps[app["name"]]["deployments"]}
    apps[app["name"]]["deployments"] = [
        {**deployed[it["name"]], **{key: it[key] for key in ("user_config",) if key in it}} for it in app["deployments"]
    ]
    runner.put(*apps.values())


@contextmanager
def load(question: Callable[[], Answer]) -> Iterator[list[Answer]]:
    """Clients that ask all the while; afterwards the list has every answer, and each must be a 200."""
    answers: list[Answer] = []
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            answers.append(question())
            time.sleep(0.05)

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        asking = [clients.submit(client) for _ in range(CLIENTS)]
        try:
            yield answers
            time.sleep(1)
        finally:
            over.set()
        for it in asking:
            it.result()
    assert answers
    assert [answer for answer in answers if answer.status != 200] == []


def wait_for(question: Callable[[], Answer], obeys: Callable[[Answer], bool]) -> None:
    """Return when ten answers one after the other are as they should be."""
    deadline = time.monotonic() + WITHIN
    right = 0
    while right < 10:
        answer = question()
        right = right + 1 if obeys(answer) else 0
        assert time.monotonic() < deadline, answer.body


def test_a_greeting(runner: Runner) -> None:
    def question() -> Answer:
        return ask(f"{runner.url}/hello", method="GET")

    before = replicas(runner, "hello")
    with load(question) as answers:
        change(runner, hello("new"))
        wait_for(question, lambda answer: answer.json["message"] == "new")
    assert {answer.json["message"] for answer in answers} <= {"old", "new"}
    assert replicas(runner, "hello") == before
    change(runner, {"name": "hello", "hello": {"replicas": 2, "resources": SMALL}})
    wait_for(question, lambda answer: answer.json["message"] == "Hello from llmpipeline")
    assert replicas(runner, "hello") == before


def test_a_deployment_without_settings(runner: Runner) -> None:
    """A custom app may name a bundled one, with arguments alone: Serve then hands over no settings."""
    assert ask(f"{runner.url}/own", method="GET").json["message"] == "mine"


def test_sampling_and_limits_of_generate(runner: Runner) -> None:
    def question(prompt: str = "x") -> Answer:
        return ask(f"{runner.url}/generate", {"prompt": prompt, "ignore_eos": True})

    def tokens(answer: Answer) -> Any:
        return answer.json["usage"]["completion_tokens"]

    before = replicas(runner, "generate")
    assert tokens(question()) == 4
    with load(question) as answers:
        change(runner, generate(sampling={"maxTokens": 8}))
        wait_for(question, lambda answer: tokens(answer) == 8)
    assert {tokens(answer) for answer in answers} <= {4, 8}
    with load(question):
        change(runner, generate(sampling={"maxTokens": 8}, maxBodySize="100", logPrompts=True))
        wait_for(lambda: question("x" * 100), lambda answer: answer.status == 413)
    assert tokens(question()) == 8
    change(runner, generate())
    wait_for(lambda: question("x" * 100), lambda answer: answer.status == 200)
    assert tokens(question()) > 8
    assert replicas(runner, "generate") == before


def test_pooling_and_limits_of_batch(runner: Runner) -> None:
    def question(text: str = TEXT) -> Answer:
        return ask(f"{runner.url}/vectors", {"text": text})

    def near(vector: list[float], other: list[float]) -> bool:
        return all(abs(x - y) < 1e-3 for x, y in zip(vector, other, strict=True))

    before = replicas(runner, "vectors")
    mean = question().json["embedding"]
    with load(question) as answers:
        change(runner, vectors(embed={"pooling": "Cls"}, maxBodySize="100"))
        wait_for(question, lambda answer: not near(answer.json["embedding"], mean))
    first = question().json["embedding"]
    for answer in answers:
        assert near(answer.json["embedding"], mean) or near(answer.json["embedding"], first)
    assert question(TEXT * 3).status == 413
    assert replicas(runner, "vectors") == before


def test_everything_of_a_graph(runner: Runner, service: str) -> None:
    def question() -> Answer:
        return ask(f"{runner.url}/graph", {"text": "A " + TEXT})

    def replied() -> Answer:
        return ask(f"{runner.url}/graph", {"text": TEXT, "reply": True})

    before = replicas(runner, "graph")
    usage = replied().json["reply"]
    assert usage["completion_tokens"] <= 4
    with concurrent.futures.ThreadPoolExecutor(1) as client, load(question) as answers:
        slow = client.submit(ask, f"{runner.url}/graph", {"text": TEXT, "seconds": 5})
        time.sleep(1)
        change(runner, graph("new", service, words=3, tokens=9, maxBodySize="1Ki"))
        expected = {"clean": f"a {TEXT}", "said": "new", "shaped": "new", "call": "/new", "summarized": True}
        wait_for(question, lambda answer: expected.items() <= answer.json.items())
        in_flight = slow.result()
    assert (in_flight.status, in_flight.json["said"], in_flight.json["shaped"]) == (200, "old", "old")
    for answer in answers:
        assert answer.json["said"] == answer.json["shaped"], "a request saw half of the change"
    found = [replied().json["reply"] for _ in range(5)]
    assert max(one["completion_tokens"] for one in found) <= 9
    assert any(one["completion_tokens"] > 4 for one in found)
    assert ask(f"{runner.url}/graph", {"text": TEXT * 50}).status == 413
    assert replicas(runner, "graph") == before


def test_the_settings_of_a_replica_that_starts_later(runner: Runner) -> None:
    """Serve hands the settings to a new replica before its first request."""

    def question() -> Answer:
        return ask(f"{runner.url}/hello", method="GET")

    change(runner, hello("later"))
    wait_for(question, lambda answer: answer.json["message"] == "later")
    apps = {name: found["deployed_app_config"] for name, found in runner.applications().items()}
    (deployment,) = apps["hello"]["deployments"]
    apps["hello"]["deployments"] = [{**deployment, "num_replicas": 4}]
    runner.put(*apps.values())
    seen: set[str] = set()
    deadline = time.monotonic() + WITHIN
    while len(seen) < 4:
        assert time.monotonic() < deadline, seen
        answer = question().json
        assert answer["message"] == "later"
        seen.add(answer["replica"])
