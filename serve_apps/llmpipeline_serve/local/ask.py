"""Asks a running app one question, as a client of it would."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from llmpipeline_serve.contract import graph
from llmpipeline_serve.contract.catalog import APPS
from llmpipeline_serve.contract.openai import IMPORT_PATH, PREFILL_IMPORT_PATH
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
    """Return the lines that say where an app is and how to ask it."""
    base = app_url(app, url)
    if _speaks_openai(app):
        model = _models(base)[0]
        if model in _embedders(app):
            return [f"{app.name}  {base}/v1/models", f"  {_curl(f'{base}/v1/embeddings', _embedded(model))}"]
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": _PROMPT}]}
        return [f"{app.name}  {base}/v1/models", f"  {_curl(f'{base}/v1/chat/completions', body, stream=True)}"]
    asked = _body(app)
    return [f"{app.name}  {base}", f"  {_curl(base, asked)}" if asked else f"  curl {base}"]


def ask(app: Application, url: str) -> Iterator[str]:
    """Ask an app one question and yield lines with the answer.

    Raises:
        AppError: The app answered with an error.
    """
    base = app_url(app, url)
    if _speaks_openai(app):
        yield from _ask_openai(app, base)
    elif body := _body(app):
        answer = _read(base, body).decode(errors="replace")
        yield f"{app.name}: POST {base}: 200 {_shortened(answer)}"
    else:
        yield _ask_any(app.name, base)


def _speaks_openai(app: Application) -> bool:
    """Whether it has OpenAI's paths: an app of Ray Serve LLM, or a graph with a chat."""
    fronts = [it for it in app.deployments if app.import_path == graph.IMPORT_PATH and it["name"] == graph.INGRESS]
    chats = any((front.get("user_config") or {}).get("chat") for front in fronts)
    return chats or app.import_path in (IMPORT_PATH, PREFILL_IMPORT_PATH)


def _body(app: Application) -> dict[str, Any] | None:
    """What to send to a bundled app that takes JSON; None for any other."""
    known = APPS.get(app.import_path)
    return known.args.model_validate(app.args or {}).question() if known else None


def _curl(url: str, body: dict[str, Any], *, stream: bool = False) -> str:
    text = json.dumps(body).replace("'", "'\\''")
    return f"curl{' -N' if stream else ''} {url} -H 'Content-Type: application/json' -d '{text}'"


def _shortened(text: str) -> str:
    return text if len(text) <= _BODY_CHARACTERS else f"{text[:_BODY_CHARACTERS]}…"


def _ask_any(name: str, base: str) -> str:
    """GET the route. An app that wants POST says 404 or 405, which still is an answer."""
    try:
        with urllib.request.urlopen(base, timeout=_SECONDS) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    except OSError as error:
        raise AppError(f"{name}: GET {base}: {error}") from error
    line = f"{name}: GET {base}: {status} {_shortened(body.decode(errors='replace'))}"
    if status >= HTTPStatus.BAD_REQUEST and status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        raise AppError(line)
    return line


def _ask_openai(app: Application, base: str) -> Iterator[str]:
    models = _models(base)
    yield f"{app.name}: models: {', '.join(models)}"
    for model in models:
        if model in _embedders(app):
            (vector,) = json.loads(_read(f"{base}/v1/embeddings", _embedded(model)))["data"]
            yield f"{app.name}: {model}: a vector of {len(vector['embedding'])} numbers"
        else:
            yield from _ask_model(f"{app.name}: {model}", model, base)


def _embedders(app: Application) -> set[str]:
    """The models that make vectors and no texts."""
    configs = (app.args or {}).get("llm_configs", [])
    pooling = [config for config in configs if config.get("engine_kwargs", {}).get("runner") == "pooling"]
    return {config["model_loading_config"]["model_id"] for config in pooling}


def _embedded(model: str) -> dict[str, Any]:
    return {"model": model, "input": _PROMPT}


def _ask_model(who: str, model: str, base: str) -> Iterator[str]:
    question = {"model": model, "max_tokens": _MAX_TOKENS, "messages": [{"role": "user", "content": _PROMPT}]}
    answer = json.loads(_read(f"{base}/v1/chat/completions", question))
    yield _as_line(who, answer["choices"][0]["message"]["content"], answer.get("usage"))
    question |= {"stream": True, "stream_options": {"include_usage": True}}
    yield _as_line(f"{who}, streamed", *_read_stream(f"{base}/v1/chat/completions", question))


def _models(base: str) -> list[str]:
    return [model["id"] for model in json.loads(_read(f"{base}/v1/models"))["data"]]


def _as_line(who: str, text: str | None, usage: dict[str, Any] | None) -> str:
    if usage is None:  # of a graph without a model that generates
        return f"{who}: {text!r}"
    return f"{who}: {text!r} ({usage['prompt_tokens']} prompt tokens, {usage['completion_tokens']} completion tokens)"


def _read(url: str, body: object = None) -> bytes:
    return b"".join(_lines(url, body))


def _read_stream(url: str, body: object) -> tuple[str, dict[str, Any] | None]:
    """Return the text and the token counts, if there are any, of a streamed answer (server-sent events)."""
    text: list[str] = []
    usage: dict[str, Any] | None = None
    ended = False
    for line in _lines(url, body):
        ended = line.strip() == b"data: [DONE]" or ended
        if not line.startswith(b"data: ") or ended:
            continue
        event = json.loads(line.removeprefix(b"data: "))
        if "error" in event:
            raise AppError(f"{url}: {event['error']}")
        text.extend(choice["delta"].get("content") or "" for choice in event["choices"])
        usage = event.get("usage") or usage
    if not ended:
        raise AppError(f"{url}: the stream was cut off")
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
