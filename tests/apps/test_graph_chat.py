"""A graph that chats and streams, on real Ray and vLLM with tiny models."""

import copy
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from llmpipeline_serve.local.ask import ask as questions
from llmpipeline_serve.local.ask import how_to_ask
from llmpipeline_serve.local.job import Application
from llmpipeline_serve.local.tiny.llama import make_tiny_llama
from support.local.asking import HUB, SMALL, Answer, ask, node
from support.local.runner import Runner, rendered, running

BLOCK = {"resources": SMALL}
USER = {"role": "user", "content": "Which model answers?"}
SYSTEM = {"role": "system", "content": "You are {{ request.who|default('nobody') }}."}
ENDLESS = 200


def generate(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    """A node with an engine of its own, which always takes the most likely token."""
    model = {"model": HUB, "sampling": {"temperature": 0, "maxTokens": 16}, **fields.pop("generate", {})}
    return {"name": name, "after": list(after), "generate": model, **BLOCK, **fields}


TALK = {
    "name": "talk",
    "routePrefix": "/",
    "graph": {
        "nodes": [
            node("look", function="fail"),
            generate("chat", "look", generate={"messages": [SYSTEM, {"conversation": "request.messages"}]}),
        ],
        "chat": {"model": "talker"},
        "ingress": {**BLOCK, "timeoutSeconds": 30},
    },
}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    # Two requests fill the engine, so that one which nobody waits for is noticed.
    talk = copy.deepcopy(TALK)
    talk["graph"]["nodes"][1]["generate"]["engine"] = {"extra": {"max_num_seqs": 2}}  # type: ignore[index]
    with running(tmp_path_factory.mktemp("chat"), *rendered(talk), cpus=16) as it:
        yield it


def chat(runner: Runner, **body: Any) -> Answer:
    return ask(f"{runner.url}/v1/chat/completions", {"model": "talker", "messages": [USER], **body})


def events(answer: Answer) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n\n") if line]
    assert lines.pop() == b"[DONE]"
    return [json.loads(line) for line in lines]


def test_messages_are_asked_by_the_models_chat_template(runner: Runner) -> None:
    answer = ask(runner.url, {"messages": [USER]}).json["chat"]
    other = ask(runner.url, {"messages": [USER], "who": "a wise old owl"}).json["chat"]
    assert answer.keys() == {"text", "finish_reason", "usage"}
    assert other["usage"]["prompt_tokens"] > answer["usage"]["prompt_tokens"]


def test_a_chat(runner: Runner) -> None:
    plain = ask(runner.url, {"messages": [USER]}).json["chat"]
    answer = chat(runner)
    assert answer.json["choices"][0]["message"] == {"role": "assistant", "content": plain["text"]}
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert answer.json["usage"] == {**plain["usage"], "total_tokens": sum(plain["usage"].values())}
    assert ask(f"{runner.url}/v1/models", method="GET").json["data"][0]["id"] == "talker"
    assert ask(f"{runner.url}/v1/models/talker", method="GET").status == 200


def test_a_stream_says_the_same(runner: Runner) -> None:
    whole = chat(runner).json
    first, *chunks, usage = events(chat(runner, stream=True, stream_options={"include_usage": True}))
    texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert len(texts) > 3
    assert "".join(texts) == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert usage["usage"] == whole["usage"]


def test_openais_own_client(runner: Runner) -> None:
    client = openai.OpenAI(base_url=f"{runner.url}/v1", api_key="none", max_retries=0)
    asked: dict[str, Any] = {"model": "talker", "messages": [USER]}
    assert [model.id for model in client.models.list()] == ["talker"]
    answer = client.chat.completions.create(**asked)
    assert answer.usage
    assert answer.usage.completion_tokens == 16
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    said = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(said) == answer.choices[0].message.content
    assert chunks[-1].usage == answer.usage
    with pytest.raises(openai.NotFoundError) as failed:
        client.chat.completions.create(**{**asked, "model": "gpt-4"})
    assert (failed.value.param, failed.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.BadRequestError, match="images and sound"):
        client.chat.completions.create(
            model="talker",
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            stream=True,
        )


def test_a_plain_stream(runner: Runner) -> None:
    plain = ask(runner.url, {"messages": [USER]}).json["chat"]
    pieces = events(ask(runner.url, {"messages": [USER], "stream": True}))
    assert len(pieces) > 3
    assert "".join(piece["text"] for piece in pieces) == plain["text"]
    assert pieces[-1] == {**plain, "text": pieces[-1]["text"]}


@pytest.mark.parametrize("stream", [{}, {"stream": True}], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"messages": None}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, 400, "messages.0.role"),
        ({"messages": [USER] * 1001}, 400, "messages"),
        ({"messages": [USER] * 200}, 400, "prompt"),  # more tokens than the model takes
        ({"model": "gpt-4"}, 404, "model"),
        ({"fail": True}, 502, "nodes.look"),
    ],
)
def test_errors(runner: Runner, body: dict[str, Any], status: int, param: str, stream: dict[str, Any]) -> None:
    answer = chat(runner, **body, **stream)
    assert (answer.status, answer.json["error"]["param"]) == (status, param), answer.body
    assert answer.headers["content-type"] == "application/json"
    assert b"secret" not in answer.body


def test_what_the_runner_asks_and_how_it_says_so(runner: Runner) -> None:
    app = Application.model_validate(runner.applications()["talk"]["deployed_app_config"])
    models, whole, streamed = questions(app, runner.url)
    assert models == "talk: models: talker"
    assert "completion tokens" in whole
    assert "talker, streamed: " in streamed
    assert "/v1/chat/completions" in how_to_ask(app, runner.url)[1]


def _set(runner: Runner, tokens: int, seconds: float | None = None) -> None:
    """Change the running graph in place: the tokens of an answer, and the time that the node has for it."""
    talk = copy.deepcopy(TALK)
    talk["graph"]["nodes"][1]["generate"]["sampling"]["maxTokens"] = tokens  # type: ignore[index]
    (wanted,) = rendered(talk)
    # Less than a second, which the resource does not have.
    wanted["deployments"][0]["user_config"]["nodes"][1] |= {"timeout_seconds": seconds} if seconds else {}
    config = copy.deepcopy(runner.applications()["talk"]["deployed_app_config"])
    config["deployments"] = [
        {**old, "user_config": new["user_config"]}
        for old, new in zip(config["deployments"], wanted["deployments"], strict=True)
    ]
    runner.put(config)
    deadline = time.monotonic() + 60
    while runner.applications()["talk"]["status"] != "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)


def test_a_stream_that_takes_too_long_ends_with_an_error(runner: Runner) -> None:
    """The time of the node is over after the first tokens: the status is sent by then."""
    _set(runner, tokens=ENDLESS)
    began = time.monotonic()
    assert chat(runner).json["usage"]["completion_tokens"] > 150, "too few tokens to be cut off"
    _set(runner, tokens=ENDLESS, seconds=0.6 * (time.monotonic() - began))
    answer = chat(runner, stream=True)
    assert answer.status == 200
    error = events(answer)[-1]["error"]
    assert (error["code"], error["param"]) == ("timeout", "nodes.chat")
    assert chat(runner).status == 504


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_the_engines_slots(runner: Runner, stream: bool) -> None:
    _set(runner, tokens=ENDLESS)
    began = time.monotonic()
    assert chat(runner).status == 200
    alone = time.monotonic() - began
    body = json.dumps({"messages": [USER], "stream": stream}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for _ in range(8):
        with socket.create_connection(("127.0.0.1", runner.port)) as client:
            client.sendall(head + body)
            if stream:
                client.recv(200)
    began = time.monotonic()
    assert chat(runner).status == 200
    # With eight answers before it, two at once, it would take four times as long as alone.
    assert time.monotonic() - began < 2.5 * alone + 1


def test_a_model_without_a_chat_template_fails_at_the_start(runner: Runner, tmp_path: Path) -> None:
    model = make_tiny_llama(tmp_path / "bare")
    file = model / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": None}))
    engine = {"max_model_len": 256, "dtype": "float32", "enforce_eager": True}
    node_args = {"name": "chat", "generate": {"model": {"path": str(model)}, "engine": engine}}
    (bare,) = rendered({**copy.deepcopy(TALK), "name": "bare", "routePrefix": "/bare"})
    bare["args"] = {"nodes": [bare["args"]["nodes"][0], node_args]}
    talk = runner.applications()["talk"]["deployed_app_config"]
    runner.put(talk, bare)
    deadline = time.monotonic() + 300
    while "has no chat template: give generate.prompt" not in str(runner.applications().get("bare")):
        assert time.monotonic() < deadline, runner.applications().get("bare")
        time.sleep(1)
    runner.put(talk)
