"""The generate app on real vLLM: answers, streams, limits, clients that go away, an engine that dies."""

import concurrent.futures
import json
import socket
import time
from typing import Any

import pytest

from support.local.asking import ask
from support.local.runner import Runner


def generate(runner: Runner, **body: Any) -> Any:
    return ask(
        f"{runner.url}/generate", {"prompt": "Which model answers?", "max_tokens": 16, "ignore_eos": True, **body}
    )


def events(body: bytes) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    assert lines.pop() == b"[DONE]"
    return [json.loads(line) for line in lines]


def test_an_answer(bundled: Runner) -> None:
    answer = generate(bundled)
    assert answer.status == 200
    assert answer.json.keys() == {"text", "finish_reason", "usage"}
    assert answer.json["text"]
    assert answer.json["finish_reason"] == "length"
    assert answer.json["usage"]["completion_tokens"] == 16
    assert answer.json["usage"]["prompt_tokens"] > 3


def test_the_apps_sampling_holds_where_the_request_says_nothing(bundled: Runner) -> None:
    answer = ask(f"{bundled.url}/generate", {"prompt": "x", "ignore_eos": True})
    assert answer.json["usage"]["completion_tokens"] == 32  # the runner's bound for tiny models


def test_a_stream_says_the_same(bundled: Runner) -> None:
    whole = generate(bundled, temperature=0)
    streamed = generate(bundled, temperature=0, stream=True)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    pieces = events(streamed.body)
    assert len(pieces) > 1
    assert "".join(piece["text"] for piece in pieces) == whole.json["text"]
    assert pieces[-1]["usage"] == whole.json["usage"]
    assert pieces[-1]["finish_reason"] == "length"


def test_a_seed_makes_answers_alike(bundled: Runner) -> None:
    first, second = (generate(bundled, seed=7, temperature=1).json["text"] for _ in range(2))
    assert first == second


def test_the_request_id_comes_back(bundled: Runner) -> None:
    url = f"{bundled.url}/generate"
    assert ask(url, {"prompt": "x", "max_tokens": 1}, X_Request_ID="mine").headers["x-request-id"] == "mine"
    assert ask(url, {"prompt": ""}).headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"prompt": ""}, "prompt", "at least 1 character"),
        ({"prompt": 3}, "prompt", "valid string"),
        ({"prompt": None}, "prompt", "valid string"),
        ({}, "prompt", "is required"),
        ({"prompt": "a\0b"}, "prompt", "NUL"),
        ({"prompt": "x", "temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"prompt": "x", "temperature": float("nan")}, None, "NaN is not a JSON value"),
        ({"prompt": "x", "temperature": "hot"}, "temperature", "valid number"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"prompt": "x", "max_tokens": 100_000}, "max_tokens", "must be at most 25"),
        ({"prompt": "x", "max_tokens": 1.5}, "max_tokens", "integer"),
        ({"prompt": "hello " * 500}, "prompt", "too many: the model takes 256"),
        ({"prompt": "x", "top_p": 0}, "top_p", "greater than 0"),
        ({"prompt": "x", "stop": [""]}, "stop.0", "at least 1 character"),
        ({"prompt": "x", "nonsense": 1}, "nonsense", "unknown field"),
        ({"prompt": "x", "stream": "yes"}, "stream", "boolean"),
    ],
)
@pytest.mark.parametrize("stream", [{}, {"stream": True}], ids=["whole", "stream"])
def test_bad_input_names_the_field(
    bundled: Runner, body: dict[str, Any], field: str | None, says: str, stream: dict[str, Any]
) -> None:
    answer = ask(f"{bundled.url}/generate", {**stream, **body})
    assert (answer.status, answer.error["type"], answer.error["field"]) == (400, "invalid_request", field)
    assert says in answer.error["message"]
    assert generate(bundled, max_tokens=1).status == 200


@pytest.mark.parametrize(
    ("raw", "status", "kind"),
    [
        (b"{nope", 400, "invalid_request"),
        (b"", 400, "invalid_request"),
        (b"[1]", 400, "invalid_request"),
        (b"\xff\xfe", 400, "invalid_request"),
        (b'{"prompt": "\\ud800"}', 400, "invalid_request"),
        (b"[" * 100_000, 400, "invalid_request"),
        (b'{"prompt": "' + b"x" * 10_000_000 + b'"}', 413, "too_large"),
    ],
    ids=["not JSON", "nothing", "a list", "not UTF-8", "half a surrogate pair", "nested too deep", "10 MB"],
)
def test_bodies_that_are_no_request(bundled: Runner, raw: bytes, status: int, kind: str) -> None:
    answer = ask(f"{bundled.url}/generate", raw=raw)
    assert (answer.status, answer.error["type"]) == (status, kind)
    assert generate(bundled, max_tokens=1).status == 200


def test_other_methods_and_paths(bundled: Runner) -> None:
    answer = ask(f"{bundled.url}/generate", method="GET")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert ask(f"{bundled.url}/generate/deeper", {"prompt": "x"}).status == 404
    assert ask(f"{bundled.url}/generate/", {"prompt": "x", "max_tokens": 1}).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_the_engines_slots(bundled: Runner, stream: bool) -> None:
    """All four slots are taken by answers that nobody waits for; the next one must not have to wait for them."""
    began = time.monotonic()
    generate(bundled, max_tokens=200)
    alone = time.monotonic() - began
    body = json.dumps({"prompt": "x", "max_tokens": 240, "ignore_eos": True, "stream": stream}).encode()
    request = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for _ in range(12):
        with socket.create_connection(("127.0.0.1", bundled.port)) as client:
            client.sendall(request)
            if stream:
                client.recv(200)
    began = time.monotonic()
    assert generate(bundled, max_tokens=200).status == 200
    # With twelve answers before it, four at once, it would take four times as long as alone.
    assert time.monotonic() - began < 2.5 * alone + 1


def test_more_clients_than_capacity(bundled: Runner) -> None:
    """Four at once and four in the queue: of eighty, the others get 503 at once."""
    with concurrent.futures.ThreadPoolExecutor(80) as clients:
        answers = list(clients.map(lambda _: generate(bundled, max_tokens=200), range(80)))
    assert {answer.status for answer in answers} == {200, 503}
    for answer in answers:
        if answer.status == 503:
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["x-request-id"]
        else:
            assert answer.json["usage"]["completion_tokens"] == 200
    assert generate(bundled, max_tokens=1).status == 200


def test_a_dead_engine_is_replaced(bundled: Runner) -> None:
    """Its replica is unhealthy within one period (2 s), and another takes its place."""
    replicas = bundled.applications()["generate"]["deployments"]["Generate"]["replicas"]
    (pid,) = [replica["pid"] for replica in replicas]
    engines = [p for p in bundled.left() if "EngineCore" in p.name() and pid in {parent.pid for parent in p.parents()}]
    assert len(engines) == 1
    engines[0].kill()
    assert generate(bundled).status in (500, 503)
    deadline = time.monotonic() + 120
    while (answer := generate(bundled, max_tokens=1)).status != 200:
        assert answer.status in (500, 503)
        assert time.monotonic() < deadline
        time.sleep(0.5)
    (again,) = [
        replica["pid"]
        for replica in bundled.applications()["generate"]["deployments"]["Generate"]["replicas"]
        if replica["state"] == "RUNNING"
    ]
    assert again != pid
