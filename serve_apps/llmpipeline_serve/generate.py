"""The `generate` app: a prompt in, a text out, by vLLM's asynchronous engine.

A Serve config names it as `import_path: llmpipeline_serve.generate:build`.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from ray import serve
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import Response

from llmpipeline_serve.completion import Piece, sampling_of
from llmpipeline_serve.contract.generate import GenerateArgs, GenerateSettings
from llmpipeline_serve.contract.models import SamplingArgs
from llmpipeline_serve.front import Answer, Front
from llmpipeline_serve.text import Text

_Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]


class GenerateRequest(BaseModel):
    """The body of a request. What it leaves out is the app's `sampling`, or vLLM's default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prompt: Text
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    stop: Annotated[list[_Stop], Field(max_length=16)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    ignore_eos: bool | None = None


@serve.deployment
class Generate:
    """Answers prompts with one model."""

    async def __init__(self, args: GenerateArgs) -> None:  # type: ignore[misc]  # Serve awaits it
        # Imported here: Serve imports this module once more to build the app, and vLLM takes ten seconds.
        from llmpipeline_serve.engine import Engine

        self._settings = GenerateSettings()
        self._engine = Engine(args)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take other settings for the requests from now on; those in flight keep the old."""
        self._settings = GenerateSettings.model_validate(user_config)

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        settings = self._settings
        handle = partial(self._generate, settings.sampling)
        return await Front(settings.limits).answer(request, GenerateRequest, handle)

    async def check_health(self) -> None:
        """Raise if the engine is dead: Serve then replaces this replica."""
        await self._engine.check_health()

    async def _generate(self, defaults: SamplingArgs, body: GenerateRequest) -> Answer:
        sampling = sampling_of(defaults, body.model_dump(exclude={"prompt", "stream"}))
        exact = body.max_tokens is not None
        pieces = self._engine.generate(body.prompt, sampling, stream=body.stream, exact=exact)
        # The first piece comes before the status is sent, so that a prompt that does not fit is a 400 in a stream too.
        first = await anext(pieces)
        if body.stream:
            return _events(first, pieces)
        return first.as_answer()


async def _events(first: Piece, rest: AsyncIterator[Piece]) -> AsyncIterator[dict[str, object]]:
    yield first.as_event()
    async for piece in rest:
        yield piece.as_event()


def build(args: GenerateArgs) -> Application:
    """Build the app. Serve parses `args` by this function's annotation, so a wrong key fails by name."""
    return Generate.bind(args)  # type: ignore[attr-defined]  # Ray types the decorator as identity
