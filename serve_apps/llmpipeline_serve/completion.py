"""A model's answer to a prompt, and how its tokens are chosen. Knows no engine."""

from dataclasses import dataclass
from typing import Any

from llmpipeline_serve.contract.models import SamplingArgs


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

    def as_answer(self) -> dict[str, object]:
        """The last piece of an answer, or the whole of it, with its token counts in the OpenAI API's words."""
        usage = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        return {"text": self.text, "finish_reason": self.finish_reason, "usage": usage}

    def as_event(self) -> dict[str, object]:
        """A piece of a stream: what is new, and in the last all fields of an answer."""
        return self.as_answer() if self.finish_reason else {"text": self.text}


def sampling_of(defaults: SamplingArgs, given: dict[str, Any]) -> dict[str, Any]:
    """VLLM's sampling parameters: what is given, else the defaults."""
    chosen = {**defaults.model_dump(), **{name: value for name, value in given.items() if value is not None}}
    return {**chosen, "stop": list(chosen["stop"])}
