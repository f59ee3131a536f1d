"""OpenAI's chat protocol in front of a graph, with nodes that are plain functions; on real Ray: tests/apps."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from llmpipeline_serve.contract.base import Limits
from llmpipeline_serve.contract.graph import ChatSettings, GraphSettings
from llmpipeline_serve.errors import overloaded
from llmpipeline_serve.graph.chat_door import ChatDoor, is_for_chat
from llmpipeline_serve.graph.run import CompiledGraph
from llmpipeline_serve.graph.stream import Asking

USER = {"role": "user", "content": "Why?"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
WHOLE = {"text": "Ha!", "finish_reason": "length", "usage": USAGE}
LAST = {"text": "!", "finish_reason": "length", "usage": USAGE}
REWRITE = {"name": "rewrite", "prompt": "{{ request.text }}"}
REPLY = {"name": "reply", "after": ["rewrite"], "messages": [{"conversation": "request.messages"}]}


def request(body: Any, path: str = "/v1/chat/completions", method: str = "POST", root: str = "/rag") -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    scope = {"type": "http", "method": method, "path": root + path, "root_path": root, "headers": []}
    return Request({**scope, "query_string": b""}, receive)


class Asked:
    """A chat with a graph, and what its nodes were asked."""

    def __init__(self, *pieces: Any, answer: str = "reply.text", **reply: Any) -> None:
        self.given: dict[str, Any] = {}
        graph = CompiledGraph(GraphSettings.model_validate({"nodes": [REWRITE, {**REPLY, **reply}]}))
        self._pieces = pieces or ({"text": "Ha"}, LAST)
        self._door = ChatDoor(ChatSettings(model="rag", answer=answer), Limits(), graph)

    async def __call__(self, body: Any, **where: Any) -> Response:
        return await self._door.answer(request(body, **where), Asking(self._ask, self._stream))

    async def _ask(self, node: str, given: Any) -> dict[str, Any]:
        self.given[node] = given
        return WHOLE

    async def _stream(self, node: str, given: Any) -> AsyncIterator[dict[str, Any]]:
        self.given[node] = given
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def content(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(response.body))
    return found


async def events(response: Response) -> list[dict[str, Any]]:
    assert isinstance(response, StreamingResponse)
    assert response.media_type == "text/event-stream"
    text = b"".join([bytes(chunk) async for chunk in response.body_iterator]).decode()  # type: ignore[arg-type]
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_a_completion() -> None:
    asked = Asked()
    answer = content(await asked({"model": "rag", "messages": [{**USER, "content": "What?"}, USER], "user": "ada"}))
    assert answer["id"].startswith("chatcmpl-")
    assert isinstance(answer["created"], int)
    assert {name: answer[name] for name in ("object", "model", "choices", "usage")} == {
        "object": "chat.completion",
        "model": "rag",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Ha!"},
                "finish_reason": "length",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10},
    }
    assert asked.given["rewrite"] == "Why?"  # request.text is what the user said last
    assert [message["content"] for message in asked.given["reply"]] == ["What?", "Why?"]


async def test_a_stream() -> None:
    body = {"messages": [USER], "stream": True, "stream_options": {"include_usage": True}}
    first, *texts, end, usage = await events(await Asked()(body))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["delta"] for chunk in texts] == [{"content": "Ha"}, {"content": "!"}]
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == ({}, "length")
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 10)
    assert {chunk["object"] for chunk in (first, *texts, end, usage)} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in (first, *texts, end, usage)}) == 1
    assert "usage" not in (await events(await Asked()({"messages": [USER], "stream": True})))[-1]


async def test_an_answer_that_is_more_than_a_text_is_one_chunk() -> None:
    body = {"messages": [USER], "stream": True}
    chunks = await events(await Asked(answer="reply.text ~ ' (from two passages)'")(body))
    texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert texts == ["", "Ha! (from two passages)", None]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    texts = [it["choices"][0]["delta"].get("content") for it in await events(await Asked(answer="rewrite.text")(body))]
    assert texts == ["", "Ha!", None]


async def test_a_failure_before_the_first_token_has_a_status() -> None:
    response = await Asked(overloaded("the queue is full"))({"messages": [USER], "stream": True})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert content(response)["error"] == {
        "message": "node reply: the queue is full",
        "type": "server_error",
        "param": "nodes.reply",
        "code": "overloaded",
    }


async def test_a_failure_after_the_first_token_is_an_event() -> None:
    found = await events(await Asked({"text": "Ha"}, overloaded("x"))({"messages": [USER], "stream": True}))
    assert found[-1]["error"]["code"] == "overloaded"
    assert found[1]["choices"][0]["delta"] == {"content": "Ha"}


async def test_a_fallback_is_an_answer() -> None:
    asked = Asked(overloaded("x"), fallback={"text": "Later."})
    assert (await events(await asked({"messages": [USER], "stream": True})))[1]["choices"][0]["delta"] == {
        "content": "Later."
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_a_skipped_node_is_no_answer(stream: bool) -> None:
    response = await Asked(when="request.text == 'no'")({"messages": [USER], "stream": stream})
    assert response.status_code == 500
    assert content(response)["error"]["message"] == "chat.answer gives null, because a node was skipped"


async def test_an_answer_that_is_no_text() -> None:
    response = await Asked(answer="[reply.text]")({"messages": [USER]})
    assert content(response)["error"]["message"] == "chat.answer gives no string but list"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, None),
        ([], 400, None),
        ({}, 400, "messages"),
        ({"messages": "hi"}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, 400, "messages.0.content"),
        ({"messages": [USER] * 1001}, 400, "messages"),
        ({"messages": [USER], "stream": "yes"}, 400, "stream"),
        ({"messages": [USER], "n": 2}, 400, "n"),
        ({"messages": [USER], "tools": [{"type": "function"}]}, 400, "tools"),
        ({"messages": [USER], "response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"messages": [USER], "response_format": {"type": ["x"]}}, 400, "response_format"),
        ({"messages": [USER], "model": "gpt-4"}, 404, "model"),
        ({"messages": [USER], "model": 4}, 400, "model"),
    ],
)
@pytest.mark.parametrize("stream", [{}, {"stream": True}])
async def test_errors_are_in_openais_form(body: Any, status: int, param: str | None, stream: Any) -> None:
    response = await Asked()({**stream, **body} if isinstance(body, dict) else body)
    error = content(response)["error"]
    assert (response.status_code, error["type"], error["param"]) == (status, "invalid_request_error", param)
    assert error.keys() == {"message", "type", "param", "code"}


async def test_nulls_are_as_good_as_absent() -> None:
    body = {"messages": [USER], "model": None, "stream": None, "stream_options": None, "n": None, "tools": None}
    assert (await Asked()(body)).status_code == 200


async def test_models_and_other_paths() -> None:
    asked = Asked()
    models = content(await asked({}, path="/v1/models", method="GET"))
    assert [model["id"] for model in models["data"]] == ["rag"]
    assert content(await asked({}, path="/v1/models/rag", method="GET"))["id"] == "rag"
    assert (await asked({}, path="/v1/models/other", method="GET")).status_code == 404
    assert (await asked({}, path="/v1/embeddings")).status_code == 404
    assert (await asked({}, path="/v1/models")).headers["allow"] == "GET"
    assert (await asked({}, method="GET")).headers["allow"] == "POST"


def test_which_paths_are_the_protocols() -> None:
    assert is_for_chat(request({}))
    assert is_for_chat(request({}, root=""))
    assert is_for_chat(request({}, path="/v1"))
    assert not is_for_chat(request({}, path=""))
    assert not is_for_chat(request({}, path="/v1x"))
