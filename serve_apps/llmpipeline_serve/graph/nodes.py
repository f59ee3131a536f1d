"""The deployments of a graph's nodes. Each takes what it works on, and returns the fields of its result.

Serve hands a changed `user_config` to `reconfigure` while calls are in flight: each call keeps what it began with.
"""

import unicodedata
from collections.abc import AsyncIterator
from typing import Any

import py3langid
from ray import serve

from llmpipeline_serve import tracing
from llmpipeline_serve.batching import Batcher
from llmpipeline_serve.completion import sampling_of
from llmpipeline_serve.contract.base import AppArgs
from llmpipeline_serve.contract.graph import (
    NODE_SETTINGS,
    CustomSettings,
    GenerateNodeSettings,
    HttpSettings,
    PreprocessArgs,
    PreprocessSettings,
)
from llmpipeline_serve.contract.models import EngineArgs
from llmpipeline_serve.contract.texts import CustomArgs, TextModelArgs
from llmpipeline_serve.graph.service import Service
from llmpipeline_serve.graph.step import PythonStep
from llmpipeline_serve.model_source import fetch
from llmpipeline_serve.text import checked_text

# Enough to tell a language, and a long text would take long.
_LANGUAGE_CHARACTERS = 2000


@serve.deployment
class Preprocess:
    """Cleans a text, says its language, and cuts it to a number of tokens."""

    def __init__(self, args: PreprocessArgs) -> None:
        tracing.is_inner()
        self._settings = PreprocessSettings()
        self._tokenizer: Any = None
        if args.tokenizer:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(fetch(args.tokenizer))

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take other settings."""
        self._settings = PreprocessSettings.model_validate(user_config)

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return `{"text", "language", "length", "tokens"}`; `length` in characters is that of the text as it came."""
        settings = self._settings
        text = clean(checked_text(given), lowercase=settings.lowercase)
        language = py3langid.classify(text[:_LANGUAGE_CHARACTERS])[0]
        result = {"text": text, "length": len(given), "language": language, "tokens": None}
        if self._tokenizer is None:
            return result
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = encoded["offset_mapping"]
        most = settings.max_tokens
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

    def __init__(self, args: TextModelArgs) -> None:
        from llmpipeline_serve.text_models import text_model

        tracing.is_inner()
        self._kind = NODE_SETTINGS.get(type(args), AppArgs)
        self._model = text_model(args)
        self._work = self._model.work(self._kind())
        self._batcher = Batcher(self._work)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take other settings."""
        self._work = self._model.work(self._kind.model_validate(user_config))

    async def check_health(self) -> None:
        """Raise if the model hangs: Serve then replaces this replica."""
        self._batcher.check_health()

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return the model's fields for one text."""
        result: dict[str, Any] = await self._batcher(checked_text(given), self._work)
        return result


@serve.deployment
class GenerateNode:
    """Answers a prompt."""

    async def __init__(self, args: EngineArgs) -> None:  # type: ignore[misc]  # Serve awaits it
        from llmpipeline_serve.engine import Engine

        tracing.is_inner()
        self._sampling = sampling_of(GenerateNodeSettings().sampling, {})
        self._engine = Engine(args)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take other settings; raise if the node is asked with messages and its model has no chat template."""
        settings = GenerateNodeSettings.model_validate(user_config)
        if settings.chat:
            self._engine.check_chat_template()
        self._sampling = sampling_of(settings.sampling, {})

    async def check_health(self) -> None:
        """Raise if the engine is dead: Serve then replaces this replica."""
        await self._engine.check_health()

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return `{"text", "finish_reason", "usage"}` for a prompt, or for a list of messages."""
        answer = await anext(self._engine.generate(_prompt(given), self._sampling))
        return answer.as_answer()

    async def stream(self, given: Any) -> AsyncIterator[dict[str, Any]]:
        """The same in pieces: `{"text"}` with what is new, and the last with the other fields as well."""
        async for piece in self._engine.generate(_prompt(given), self._sampling, stream=True):
            yield piece.as_event()


def _prompt(given: Any) -> str | list[dict[str, str]]:
    return given if isinstance(given, list) else checked_text(given)


@serve.deployment
class Http:
    """Calls a service."""

    async def __init__(self) -> None:  # type: ignore[misc]  # Serve awaits it
        tracing.is_inner()
        self._service = Service()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take the service, or another one; Serve calls it before the first request."""
        self._settings = HttpSettings.model_validate(user_config)

    async def __call__(self, given: Any, identity: list[tracing.Pair]) -> dict[str, Any]:
        """Return `{"status", "body"}`; `identity` are the request's headers that the service gets as well."""
        return await self._service.ask(self._settings, given, identity)


@serve.deployment
class Custom:
    """Calls the user's own code."""

    def __init__(self, args: CustomArgs) -> None:
        tracing.is_inner()
        self._step = PythonStep(args.import_path)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take other arguments of the function; Serve calls it before the first request."""
        self._step.configure(CustomSettings.model_validate(user_config))

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return what the function returns, or `{"output"}` with it if that is no object."""
        return await self._step(given)
