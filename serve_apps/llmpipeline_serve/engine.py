"""vLLM's asynchronous engine: one model, text in and text out."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMValidationError
from vllm.inputs import TokensPrompt
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.metrics.ray_wrappers import RayPrometheusStatLogger

from llmpipeline_serve import tracing
from llmpipeline_serve.chat_template import chat_tokens, check_chat_template
from llmpipeline_serve.completion import Piece
from llmpipeline_serve.contract.models import EngineArgs
from llmpipeline_serve.errors import invalid, overloaded
from llmpipeline_serve.model_load import timed
from llmpipeline_serve.model_source import fetch
from llmpipeline_serve.replica import end_soon

# A text, or the messages of a chat.
Prompt = str | list[dict[str, str]]

# A new replica has to load the model.
_RETRY_SECONDS = 5


class Engine:
    """A running engine. It must be made in the event loop that asks it."""

    def __init__(self, args: EngineArgs) -> None:
        with timed("fetch", args.model):
            folder = fetch(args.model)
        settings = {"served_model_name": str(args.model), **args.engine}
        self._name = str(settings["served_model_name"])
        with timed("load", args.model):
            self._llm = AsyncLLM.from_engine_args(
                AsyncEngineArgs(model=folder, enable_log_requests=False, **settings),
                stat_loggers=[RayPrometheusStatLogger],
            )
        self._most_tokens: int = self._llm.model_config.max_model_len

    async def check_health(self) -> None:
        """Raise if the engine is dead; Serve then replaces the replica."""
        await self._llm.check_health()

    def check_chat_template(self) -> None:
        """Raise if the model has none, and so takes no messages."""
        check_chat_template(self._llm.get_tokenizer(), self._name)

    async def generate(
        self, prompt: Prompt, sampling: dict[str, Any], *, stream: bool = False, exact: bool = False
    ) -> AsyncIterator[Piece]:
        """Answer a prompt. A caller that stops iterating, or is cancelled, frees the engine's slot.

        Args:
            prompt: The text, not empty; or the messages of a chat, which the model's chat template takes.
            sampling: vLLM's sampling parameters by their own names, `max_tokens` among them.
            stream: Whether to yield pieces as they come, or one with the whole answer.
            exact: Whether `max_tokens` was asked for, so that a prompt which leaves fewer is an error; else it is cut.

        Raises:
            ApiError: The model does not take the prompt, or not with that many tokens of answer. Or the engine is dead:
                the process then ends after the answer, because a replica that fails at once has the shortest queue and
                would draw requests until the next health checks.
        """
        tokens = self._tokens(prompt)
        left = self._most_tokens - len(tokens)
        if exact and sampling["max_tokens"] > left:
            most = self._most_tokens
            message = f"must be at most {left}: the prompt has {len(tokens)} tokens of the {most} that the model takes"
            raise invalid(f"max_tokens: {message}", "max_tokens")
        kind = RequestOutputKind.DELTA if stream else RequestOutputKind.FINAL_ONLY
        try:
            bounded = {**sampling, "max_tokens": min(sampling["max_tokens"], left)}
            parameters = SamplingParams(output_kind=kind, **bounded)
        except (ValueError, VLLMValidationError) as error:
            raise invalid(str(error), getattr(error, "parameter", None)) from error
        outputs = self._llm.generate(TokensPrompt(prompt_token_ids=tokens), parameters, request_id=uuid.uuid4().hex)
        count = 0
        try:
            with tracing.engine_call(self._name, bounded, tokens=len(tokens), stream=stream) as call:
                async for output in outputs:
                    (answer,) = output.outputs
                    count += len(answer.token_ids)
                    call.piece(count, answer.finish_reason)
                    yield Piece(answer.text, len(tokens), count, answer.finish_reason)
        except EngineDeadError as error:
            end_soon("the engine has died")
            raise overloaded("the engine has died; a new replica takes over", _RETRY_SECONDS) from error

    def _tokens(self, prompt: Prompt) -> list[int]:
        tokenizer = self._llm.get_tokenizer()
        tokens = list(tokenizer.encode(prompt) if isinstance(prompt, str) else chat_tokens(tokenizer, prompt))
        over = len(tokens) + 1 - self._most_tokens
        if over > 0:
            most = self._most_tokens
            message = f"has {len(tokens)} tokens, {over} too many: the model takes {most} with at least one of answer"
            raise invalid(f"prompt: {message}", "prompt")
        return tokens
