"""The sample of retrieval-augmented generation, as a person starts it, asked in OpenAI's protocol."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.local.asking import Answer, ask
from support.local.runner import Runner, running
from support.repository import SAMPLES

QUESTION = {"role": "user", "content": "How long may I keep a parcel?"}


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    # The module is found next to the file alone.
    with running(tmp_path_factory.mktemp("rag"), file=SAMPLES / "rag.yaml", code=Path("/nowhere")) as runner:
        yield runner


def chat(rag: Runner, *messages: dict[str, Any], **options: Any) -> Answer:
    body = {"model": "shop-help", "messages": list(messages) or [QUESTION], **options}
    return ask(f"{rag.url}/v1/chat/completions", body)


def test_an_answer(rag: Runner) -> None:
    answer = chat(rag)
    assert answer.status == 200, answer.body
    assert answer.json["model"] == "shop-help"
    assert answer.json["choices"][0]["message"]["role"] == "assistant"
    # The passages are in the prompt: it is much longer than the question.
    assert answer.json["usage"]["prompt_tokens"] > 100


def test_a_stream(rag: Runner) -> None:
    answer = chat(rag, stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n\n") if line]
    assert lines.pop() == b"[DONE]"
    *chunks, usage = map(json.loads, lines)
    assert len([chunk for chunk in chunks if chunk["choices"][0]["delta"].get("content")]) > 3
    assert usage["usage"]["completion_tokens"] > 0


def test_a_longer_chat(rag: Runner) -> None:
    said = {"role": "assistant", "content": "30 days."}
    once, again = chat(rag).json["usage"], chat(rag, QUESTION, said, QUESTION).json["usage"]
    assert again["prompt_tokens"] > once["prompt_tokens"]


def test_what_a_client_gets_wrong(rag: Runner) -> None:
    assert chat(rag, {"role": "user", "content": 3}).json["error"]["param"] == "messages.0.content"
    assert chat(rag, {"role": "user", "content": " "}).status == 400


def test_how_to_ask_is_printed(rag: Runner) -> None:
    printed = "".join(rag.out)
    assert "/v1/chat/completions" in printed
    assert "shop-help" in printed
