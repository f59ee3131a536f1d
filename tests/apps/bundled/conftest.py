"""One Ray with every bundled app, on real vLLM and Transformers with tiny models, shared by the tests of the apps."""

import http.server
from collections.abc import Iterator
from typing import Any

import pytest

from support.local.asking import HUB, SMALL, node
from support.local.http_service import serving_http, url_of
from support.local.runner import Runner, as_in_pods, rendered, running, sample_apps


class _Service(http.server.BaseHTTPRequestHandler):
    """A service that an http node calls: it answers with what it was sent, or with the status that its path says."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = int(self.path.rpartition("/")[2] or 200)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"got": ' + body + b"}")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="package")
def service() -> Iterator[str]:
    with serving_http(_Service) as server:
        yield url_of(server)


def _graphs(service: str) -> list[dict[str, Any]]:
    text = {"resources": SMALL}
    deep = [
        {"name": "clean", "preprocess": {"tokenizer": HUB, "maxTokens": 100}, **text},
        {"name": "sentiment", "after": ["clean"], "classify": {"model": HUB}, **text},
        {"name": "summary", "after": ["clean"], "summarize": {"model": HUB}, **text},
        {
            "name": "vector",
            "after": ["clean"],
            "when": "request.vector|default(false)",
            "embed": {"model": HUB},
            **text,
        },
        {
            "name": "reply",
            "after": ["sentiment", "clean"],
            "when": "request.reply|default(false)",
            "generate": {
                "model": HUB,
                "prompt": "A {{ sentiment.label|lower }} text: {{ request.text }}",
                "sampling": {"maxTokens": 8},
                "engine": {"maxModelLength": 200},
            },
            **text,
        },
    ]
    output = {
        "original_length": "clean.length",
        "language": "clean.language",
        "tokens": "clean.tokens",
        "sentiment": "sentiment",
        "summary": "summary.text",
        "vector": "vector.embedding",
        "reply": "reply",
    }
    failing = [
        node("fails", function="fail"),
        node("falls", function="fail", fallback={"fallen": True}),
        node("slow", function="sleep", timeoutSeconds=1),
        node("other", function="sleep"),
        node("last", "fails", "falls", "slow", "other", function="echo"),
    ]
    services = [
        {"name": "good", "http": {"url": f"{service}/200"}, **text},
        {"name": "bad", "when": "request.bad|default(false)", "http": {"url": f"{service}/503"}, **text},
    ]
    return [
        {"name": "deep", "graph": {"nodes": deep, "output": output, "ingress": text}},
        {"name": "failing", "graph": {"nodes": failing, "ingress": {**text, "timeoutSeconds": 3}}},
        {"name": "services", "graph": {"nodes": services, "ingress": text}},
        {
            "name": "narrow",
            "graph": {
                "nodes": [node("nap", function="sleep", maxOngoingRequests=1, maxQueuedRequests=1)],
                "ingress": {**text, "maxOngoingRequests": 32},
            },
        },
        {"name": "sleepy", "graph": {"nodes": [node("nap", function="sleep")], "ingress": text}},
    ]


def _apps(service: str) -> list[dict[str, Any]]:
    (generate,) = sample_apps("generate")
    # Small enough to be filled by a test.
    generate["generate"] |= {"maxOngoingRequests": 4, "maxQueuedRequests": 4, "healthCheck": {"periodSeconds": 2}}
    generate["generate"]["engine"]["extra"] = {"max_num_seqs": 4}
    return [
        *sample_apps("hello"),
        generate,
        *sample_apps("batch"),
        *sample_apps("analyze"),
        *(app for app in sample_apps("concepts") if app["name"] != "chat"),
        {
            "name": "double",
            "batch": {
                "custom": {"importPath": "own_code:double"},
                "resources": SMALL,
                "maxOngoingRequests": 64,
                "maxBodySize": "1Ki",
                "logPrompts": True,
            },
        },
        *_graphs(service),
    ]


@pytest.fixture(scope="package")
def bundled(tmp_path_factory: pytest.TempPathFactory, service: str) -> Iterator[Runner]:
    """The samples' apps and some that go further; trafficSplit and openai have files of their own."""
    temporary = tmp_path_factory.mktemp("bundled")
    with running(temporary, *rendered(*_apps(service)), cpus=32, env=as_in_pods()) as runner:
        yield runner
