"""vLLM's asynchronous engine: one model, text in and text out."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMValidationError
from vllm.inputs import TokensPrompt
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.ray_wrappers import RayPrometheusStatLogger

from llmpipeline_serve.args import EngineArgs
from llmpipeline_serve.errors import invalid
from llmpipeline_serve.model_source import fetch


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer.

    Attributes:
        text: What was added to the answer since the last piece.
        prompt_tokens: Of the whole prompt.
        completion_tokens: Of the whole answer so far.
        finish_reason: `stop` or `length` in the last piece, None before.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str | None


class Engine:
    """A running engine. It must be made in the event loop that asks it."""

    def __init__(self, args: EngineArgs) -> None:
        folder = fetch(args.model)
        settings = {"served_model_name": args.model.repository or folder, **args.engine}
        self._llm = AsyncLLM.from_engine_args(
            AsyncEngineArgs(model=folder, enable_log_requests=False, **settings),
            stat_loggers=[RayPrometheusStatLogger],
        )
        self._most_tokens: int = self._llm.model_config.max_model_len

    async def check_health(self) -> None:
        """Raise if the engine is dead; Serve then replaces the replica."""
        await self._llm.check_health()

    async def generate(
        self, prompt: str, sampling: dict[str, Any], *, stream: bool = False, exact: bool = False
    ) -> AsyncIterator[Piece]:
        """Answer a prompt. Whoever stops iterating, or is cancelled, frees the engine's slot.

        Args:
            prompt: The text, not empty.
            sampling: vLLM's sampling parameters by their own names, `max_tokens` among them.
            stream: Whether to yield pieces as they come, or one with the whole answer.
            exact: Whether `max_tokens` was asked for, so that a prompt which leaves fewer is an error; else it is cut.

        Raises:
            ApiError: The model does not take the prompt, or not with that many tokens of answer.
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
        async for output in outputs:
            (answer,) = output.outputs
            count += len(answer.token_ids)
            yield Piece(answer.text, len(tokens), count, answer.finish_reason)

    def _tokens(self, prompt: str) -> list[int]:
        tokens: list[int] = self._llm.get_tokenizer().encode(prompt)
        over = len(tokens) + 1 - self._most_tokens
        if over > 0:
            most = self._most_tokens
            message = f"has {len(tokens)} tokens, {over} too many: the model takes {most} with at least one of answer"
            raise invalid(f"prompt: {message}", "prompt")
        return tokens
