"""The `batch` app: one item a request, many items a call of the model.

A Serve config names it as `import_path: llmpipeline_serve.batch:build`.
"""

from collections.abc import Callable
from functools import partial
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
        self._item: type[TextItem | AnyItem] = AnyItem if args.custom else TextItem
        self._work = _work(args)
        self._settings = BatchSettings()
        self._now = self._work(self._settings)
        self._batcher = Batcher(self._now)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take other settings for the requests from now on; those in flight keep the old."""
        self._settings = BatchSettings.model_validate(user_config)
        self._now = self._work(self._settings)
        # By then every request in a batch has been answered with 504, and some more.
        self._batcher.configure(self._settings, hung_seconds=3 * self._settings.limits.timeout_seconds)

    async def check_health(self) -> None:
        """Raise if the function hangs: Serve then replaces this replica."""
        self._batcher.check_health()

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        return await Front(self._settings.limits).answer(request, self._item, partial(self._one, self._now))

    async def _one(self, work: Work, item: TextItem | AnyItem) -> Answer:
        if isinstance(item, AnyItem):
            return {"output": await self._batcher(item.input, work)}
        result: dict[str, Any] = await self._batcher(item.text, work)
        return result


def _work(args: BatchArgs) -> Callable[[BatchSettings], Work]:
    """What is to be done, by the settings."""
    if args.custom:
        function = load(args.custom.import_path)
        return lambda _: function
    from llmpipeline_serve.text_models import text_model

    source = args.classify or args.embed
    assert source
    model = text_model(source)
    return lambda settings: model.work(settings.embed)


def build(args: BatchArgs) -> Application:
    """Build the app. Serve parses `args` by this function's annotation, so a wrong key fails by name."""
    return Batch.bind(args)  # type: ignore[attr-defined]  # Ray types the decorator as identity
