"""Asks a running app one question, as a client of it would."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from llmpipeline_serve.local.adapt import OPENAI_APP
from llmpipeline_serve.local.errors import RunnerError
from llmpipeline_serve.local.job import Application

_SECONDS = 300
_BODY_CHARACTERS = 200
_PROMPT = "Hello, who are you?"
_MAX_TOKENS = 32


class AppError(RunnerError):
    """An app answered with an error, or not at all."""


def app_url(app: Application, url: str) -> str:
    """Return the address of an app, given the address of Serve."""
    return url + app.route_prefix.rstrip("/")


def how_to_ask(app: Application, url: str) -> list[str]:
    """Return the lines that tell a person where an app is and how to ask it."""
    base = app_url(app, url)
    if app.import_path != OPENAI_APP:
        return [f"{app.name}  {base}", f"  curl {base}"]
    body = json.dumps({"model": _models(base)[0], "stream": True, "messages": [{"role": "user", "content": _PROMPT}]})
    return [
        f"{app.name}  {base}/v1/models",
        f"  curl -N {base}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'",
    ]


def ask(app: Application, url: str) -> Iterator[str]:
    """Ask an app one question and yield lines that tell the answer.

    Raises:
        AppError: The app answered with an error.
    """
    base = app_url(app, url)
    if app.import_path == OPENAI_APP:
        yield from _ask_openai(app.name, base)
    else:
        yield _ask_any(app.name, base)


def _ask_any(name: str, base: str) -> str:
    """GET the route. An app that wants POST says 404 or 405, which still is an answer."""
    try:
        with urllib.request.urlopen(base, timeout=_SECONDS) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    except OSError as error:
        raise AppError(f"{name}: GET {base}: {error}") from error
    line = f"{name}: GET {base}: {status} {body.decode(errors='replace')[:_BODY_CHARACTERS]}"
    if status >= HTTPStatus.BAD_REQUEST and status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        raise AppError(line)
    return line


def _ask_openai(name: str, base: str) -> Iterator[str]:
    models = _models(base)
    yield f"{name}: models: {', '.join(models)}"
    for model in models:
        question = {"model": model, "max_tokens": _MAX_TOKENS, "messages": [{"role": "user", "content": _PROMPT}]}
        answer = json.loads(_read(f"{base}/v1/chat/completions", question))
        yield _told(f"{name}: {model}", answer["choices"][0]["message"]["content"], answer["usage"])
        question |= {"stream": True, "stream_options": {"include_usage": True}}
        yield _told(f"{name}: {model}, streamed", *_read_stream(f"{base}/v1/chat/completions", question))


def _models(base: str) -> list[str]:
    return [model["id"] for model in json.loads(_read(f"{base}/v1/models"))["data"]]


def _told(who: str, text: str | None, usage: dict[str, Any]) -> str:
    return f"{who}: {text!r} ({usage['prompt_tokens']} prompt tokens, {usage['completion_tokens']} completion tokens)"


def _read(url: str, body: object = None) -> bytes:
    return b"".join(_lines(url, body))


def _read_stream(url: str, body: object) -> tuple[str, dict[str, Any]]:
    """Return the text and the token counts of a streamed answer (server-sent events)."""
    text: list[str] = []
    usage: dict[str, Any] | None = None
    for line in _lines(url, body):
        if not line.startswith(b"data: ") or line.strip() == b"data: [DONE]":
            continue
        event = json.loads(line.removeprefix(b"data: "))
        if "error" in event:
            raise AppError(f"{url}: {event['error']}")
        text.extend(choice["delta"].get("content") or "" for choice in event["choices"])
        usage = event.get("usage") or usage
    if usage is None:
        raise AppError(f"{url}: the stream ended without token counts")
    return "".join(text), usage


def _lines(url: str, body: object) -> Iterator[bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            yield from response
    except urllib.error.HTTPError as error:
        raise AppError(f"{url}: {error.code} {error.read().decode(errors='replace')[:_BODY_CHARACTERS]}") from error
    except OSError as error:
        raise AppError(f"{url}: {error}") from error
