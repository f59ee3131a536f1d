"""The deployments of a graph's nodes. Each takes what it works on, and returns the fields of its result."""

import inspect
import unicodedata
from typing import Any

import aiohttp
import py3langid
from ray import serve

from llmpipeline_serve.args import CustomArgs
from llmpipeline_serve.batching import Batcher
from llmpipeline_serve.custom_code import load
from llmpipeline_serve.errors import failed_upstream, invalid
from llmpipeline_serve.generate import sampling_of, told
from llmpipeline_serve.graph.args import GenerateNodeArgs, HttpArgs, NodeArgs, PreprocessArgs
from llmpipeline_serve.model_source import fetch

# Enough to tell a language, and a long text would take long.
_LANGUAGE_CHARACTERS = 2000


def checked_text(value: Any) -> str:
    """A node's input as a text with something in it.

    Raises:
        ApiError: It is none. Most inputs come from the request, so that is whose mistake it is.
    """
    if not isinstance(value, str):
        raise invalid(f"text: must be a text, not {type(value).__name__}", "text")
    if not value.strip():
        raise invalid("text: must not be empty", "text")
    if "\0" in value:
        raise invalid("text: must not hold a NUL character", "text")
    return value


@serve.deployment
class Preprocess:
    """Cleans a text, says its language, and cuts it to a number of tokens."""

    def __init__(self, args: PreprocessArgs) -> None:
        self._args = args
        self._tokenizer: Any = None
        if args.tokenizer:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(fetch(args.tokenizer))

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return `{"text", "language", "length", "tokens"}`; `length` in characters is that of the text as it came."""
        text = clean(checked_text(given), lowercase=self._args.lowercase)
        language = py3langid.classify(text[:_LANGUAGE_CHARACTERS])[0]
        result = {"text": text, "length": len(given), "language": language, "tokens": None}
        if self._tokenizer is None:
            return result
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = encoded["offset_mapping"]
        most = self._args.max_tokens
        if most and len(spans) > most:
            result["text"] = text[: spans[most - 1][1]]
            spans = spans[:most]
        return result | {"tokens": len(spans)}


def clean(text: str, *, lowercase: bool) -> str:
    """The text in Unicode's composed form, without control characters, each run of white space as one space."""
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(" " if char.isspace() else char for char in composed if char.isspace() or char.isprintable())
    single = " ".join(kept.split())
    return single.lower() if lowercase else single


@serve.deployment
class TextModel:
    """Classifies, embeds or shortens texts, those that come together in one batch."""

    def __init__(self, node: NodeArgs) -> None:
        from llmpipeline_serve.text_models import text_model

        self._batcher = Batcher(text_model(node.classify or node.embed or node.summarize))

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return the model's fields for one text."""
        result: dict[str, Any] = await self._batcher(checked_text(given))
        return result


@serve.deployment
class GenerateNode:
    """Answers a prompt."""

    async def __init__(self, args: GenerateNodeArgs) -> None:  # type: ignore[misc]  # Serve awaits it
        from llmpipeline_serve.engine import Engine

        self._sampling = sampling_of(args.sampling, {})
        self._engine = Engine(args)

    async def check_health(self) -> None:
        """Raise if the engine is dead: Serve then replaces this replica."""
        await self._engine.check_health()

    async def __call__(self, prompt: Any) -> dict[str, Any]:
        """Return `{"text", "finish_reason", "usage"}`."""
        return told(await anext(self._engine.generate(checked_text(prompt), self._sampling)))


@serve.deployment
class Http:
    """Calls a service."""

    def __init__(self, args: HttpArgs) -> None:
        self._args = args
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return `{"status", "body"}`: the body as JSON where the service says that it is, else as text."""
        # Made here, for it belongs to the event loop. Its own limit is off: the node's and the request's hold.
        self._session = self._session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=10))
        body = None if self._args.method == "GET" else given
        try:
            async with self._session.request(
                self._args.method, self._args.url, json=body, allow_redirects=False
            ) as response:
                if not response.ok or response.status >= 300:
                    raise failed_upstream(f"the service answered {response.status}")
                content = await (response.json() if response.content_type == "application/json" else response.text())
                return {"status": response.status, "body": content}
        except (aiohttp.ClientError, ValueError) as error:
            raise failed_upstream(f"the service cannot be asked: {type(error).__name__}") from error


@serve.deployment
class Custom:
    """Calls the user's own code."""

    def __init__(self, args: CustomArgs) -> None:
        self._function = load(args.import_path)

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return what the function returns, or `{"output"}` with it where that is no object."""
        result = self._function(given)
        if inspect.isawaitable(result):
            result = await result
        return result if isinstance(result, dict) else {"output": result}
