"""The `batch` app: one item a request, many items a call of the model.

A Serve config names it as `import_path: llmpipeline_serve.batch:build`.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import Response

from llmpipeline_serve.batching import Batcher, Work
from llmpipeline_serve.contract.batch import BatchArgs, BatchSettings
from llmpipeline_serve.custom_code import load
from llmpipeline_serve.front import Answer, Front
from llmpipeline_serve.text import Text


class TextItem(BaseModel):
    """The body of a request to a model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: Text


class AnyItem(BaseModel):
    """The body of a request to the user's own function: `input` is whatever that takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Any


@serve.deployment
class Batch:
    """Answers each request from a batch that it shared with others."""

    def __init__(self, args: BatchArgs) -> None:
        self._front = Front(args.limits)
        self._item: type[TextItem | AnyItem] = AnyItem if args.custom else TextItem
        # By then every request in it has been answered with 504, and some more.
        self._batcher = Batcher(_work(args), hung_seconds=3 * args.limits.timeout_seconds)

    def reconfigure(self, settings: dict[str, Any]) -> None:
        """Take other batch settings while running; Serve calls it with the `user_config`."""
        self._batcher.configure(BatchSettings.model_validate(settings))

    async def check_health(self) -> None:
        """Raise if the function hangs: Serve then replaces this replica."""
        self._batcher.check_health()

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        return await self._front.answer(request, self._item, self._one)

    async def _one(self, item: TextItem | AnyItem) -> Answer:
        if isinstance(item, AnyItem):
            return {"output": await self._batcher(item.input)}
        result: dict[str, Any] = await self._batcher(item.text)
        return result


def _work(args: BatchArgs) -> Work:
    if args.custom:
        return load(args.custom.import_path)
    from llmpipeline_serve.text_models import text_model

    model = args.classify or args.embed
    assert model
    return text_model(model)


def build(args: BatchArgs) -> Application:
    """Build the app. Serve parses `args` by this function's annotation, so a wrong key fails by name."""
    return Batch.bind(args)  # type: ignore[attr-defined]  # Ray types the decorator as identity
