"""The openai app on real Ray Serve LLM and vLLM: one model asked directly, several behind an ingress, embeddings."""

import concurrent.futures
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlparse

import pytest

from support.control_plane import eventually
from support.local.asking import HUB, SMALL, Answer, ask
from support.local.runner import Runner, as_in_pods, rendered, running

# The runner's logical CPUs need not exist: each model's replica takes one, and its engine another.
CPUS = 32
# Each app with a model of its own way in: directly by the proxy, or by an ingress.
DIRECT, BEHIND = "direct", "behind"
ROOMY = {"resources": SMALL}


def apps() -> list[dict[str, Any]]:
    tools = {"engine": {"extra": {"enable_auto_tool_choice": True, "tool_call_parser": "hermes"}}}
    full = {**ROOMY, **tools, "maxOngoingRequests": 2, "maxQueuedRequests": 2}
    return [
        {"name": DIRECT, "openai": {"models": [{"name": "one", "source": HUB, **full}]}},
        {
            "name": BEHIND,
            "openai": {
                "models": [
                    {"name": "one", "source": HUB, **ROOMY, **tools},
                    {"name": "vectors", "source": HUB, "task": "Embed", **ROOMY},
                ],
                "ingress": ROOMY,
            },
        },
        {"name": "hello", "hello": ROOMY},
    ]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    temporary = tmp_path_factory.mktemp("openai")
    with running(temporary, *rendered(*apps()), cpus=CPUS, env=as_in_pods()) as runner:
        yield runner


@pytest.fixture(params=[DIRECT, BEHIND])
def base(served: Runner, request: pytest.FixtureRequest) -> str:
    return f"{served.url}/{request.param}"


def completion(base: str, **body: Any) -> Answer:
    given = {"model": "one", "prompt": "The quick", "max_tokens": 12, "temperature": 0, "ignore_eos": True, **body}
    return ask(f"{base}/v1/completions", given)


def request(path: str, body: dict[str, Any]) -> bytes:
    """The bytes of a request, for a client that does not wait for its answer."""
    text = json.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def pieces(answer: Answer) -> list[Any]:
    lines = [line for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_stream_says_the_same(base: str) -> None:
    whole = completion(base)
    streamed = completion(base, stream=True)
    assert whole.status == streamed.status == 200
    assert streamed.headers["content-type"].startswith("text/event-stream")
    text = "".join(choice["text"] for piece in pieces(streamed) for choice in piece["choices"])
    assert text == whole.json["choices"][0]["text"]
    assert whole.json["usage"]["completion_tokens"] == 12


def test_chat(base: str) -> None:
    body = {"model": "one", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, "ignore_eos": True}
    answer = ask(f"{base}/v1/chat/completions", body)
    assert answer.json["usage"]["completion_tokens"] == 8
    # A list of parts comes as an iterator that nobody can send between processes, unless it is unrolled.
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert ask(f"{base}/v1/chat/completions", {**body, "messages": parts}).status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("status", "wrong"),
    [(404, {"model": "none"}), (400, {"prompt": "word " * 2000}), (400, {"max_tokens": "many"})],
    ids=["unknown model", "prompt too long", "wrong type"],
)
def test_what_is_wrong_has_its_status(base: str, status: int, wrong: dict[str, Any], stream: bool) -> None:
    answer = completion(base, stream=stream, **wrong)
    assert answer.status == status, answer.body
    # The ingress tells of a model that it does not know in FastAPI's words.
    assert answer.json.keys() <= {"error", "detail"}


def test_what_is_no_json(base: str) -> None:
    assert ask(f"{base}/v1/completions", raw=b"{nope").status == 400


def test_the_request_id_comes_back(base: str) -> None:
    body = {"model": "one", "prompt": "x", "max_tokens": 1}
    assert ask(f"{base}/v1/completions", body, X_Request_ID="mine").headers["x-request-id"] == "mine"
    assert ask(f"{base}/v1/completions", body).headers["x-request-id"]


def test_a_body_of_six_megabytes(base: str) -> None:
    assert completion(base, user="x" * 6_000_000).status == 200


def test_the_models(served: Runner) -> None:
    listed = {
        app: {it["id"] for it in ask(f"{served.url}/{app}/v1/models", method="GET").json["data"]}
        for app in (DIRECT, BEHIND)
    }
    assert listed == {DIRECT: {"one"}, BEHIND: {"one", "vectors"}}


def test_tokens(served: Runner) -> None:
    """Asked directly alone: behind its ingress, Ray 2.60 looks for a tokenizer by a name that vLLM 0.29 has not."""
    base = f"{served.url}/{DIRECT}"
    tokens = ask(f"{base}/tokenize", {"model": "one", "prompt": "The quick"}).json["tokens"]
    assert ask(f"{base}/detokenize", {"model": "one", "tokens": tokens}).json["prompt"].endswith("The quick")
    assert ask(f"{served.url}/{BEHIND}/tokenize", {"model": "one", "prompt": "The quick"}).status == 400


def test_embeddings(served: Runner) -> None:
    url = f"{served.url}/{BEHIND}/v1/embeddings"
    vectors = ask(url, {"model": "vectors", "input": ["Hello", "World"]}).json["data"]
    assert len(vectors[0]["embedding"]) == len(vectors[1]["embedding"]) > 1
    assert vectors[0]["embedding"] != vectors[1]["embedding"]
    assert ask(url, {"model": "one", "input": "Hello"}).status == 400


def test_clients_that_go_away_free_their_slots(served: Runner) -> None:
    """More of them than the model takes at once: were one slot kept, the last request would be refused."""
    url = urlparse(served.url)
    for _ in range(6):
        body = {"model": "one", "prompt": "x", "max_tokens": 200, "ignore_eos": True, "stream": True}
        with socket.create_connection((str(url.hostname), url.port or 80)) as client:
            client.sendall(request(f"/{DIRECT}/v1/completions", body))
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
    time.sleep(1)
    assert completion(f"{served.url}/{DIRECT}").status == 200


def test_what_does_not_fit_is_refused_at_once(served: Runner) -> None:
    """Two in work and two in the queue of the one replica, both of them taken while eight more ask."""
    url = urlparse(served.url)
    long = {"model": "one", "prompt": "x", "max_tokens": 240, "n": 16, "ignore_eos": True, "stream": True}
    for _ in range(5):
        with contextlib.ExitStack() as clients:
            for _ in range(4):
                client = clients.enter_context(socket.create_connection((str(url.hostname), url.port or 80)))
                client.sendall(request(f"/{DIRECT}/v1/completions", long))
            pool = clients.enter_context(concurrent.futures.ThreadPoolExecutor(8))
            asked = [pool.submit(completion, f"{served.url}/{DIRECT}", max_tokens=4) for _ in range(8)]
            answers = [it.result() for it in asked]
        assert {answer.status for answer in answers} <= {200, 503}
        refused = [answer for answer in answers if answer.status == 503]
        if refused:  # a fast machine may be through with the long ones before the others come
            break
    assert refused
    assert all(answer.headers["retry-after"] for answer in refused)
    assert eventually(lambda: completion(f"{served.url}/{DIRECT}").status == 200, 30, "room again")


def test_the_proxy_answers_its_own_paths(served: Runner) -> None:
    assert ask(f"{served.url}/-/healthz", method="GET").body == b"success"
    routes = ask(f"{served.url}/-/routes", method="GET").json
    assert routes == {f"/{DIRECT}": DIRECT, f"/{BEHIND}": BEHIND, "/hello": "hello"}
    assert ask(f"{served.url}/nowhere", method="GET").status == 404


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_tool_call_that_is_asked_for(base: str, choice: Any) -> None:
    """Even of a model whose words are noise: vLLM forces the form."""
    city = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": {**city, "additionalProperties": False}}}
    messages = [{"role": "user", "content": "The weather?"}]
    body = {"model": "one", "messages": messages, "tools": [tool], "tool_choice": choice, "max_tokens": 200}
    answers = [ask(f"{base}/v1/chat/completions", body | {"seed": seed}) for seed in range(10)]
    assert {answer.status for answer in answers} == {200}
    # Noise may go on with calls or blanks until it is cut off; then there is no whole call to parse.
    whole = [it for answer in answers if (it := answer.json["choices"][0])["finish_reason"] != "length"]
    assert whole
    call = whole[0]["message"]["tool_calls"][0]
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
