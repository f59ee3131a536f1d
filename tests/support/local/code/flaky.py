"""An app of a user's own that fails every third time."""

import itertools

from ray import serve
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import PlainTextResponse


@serve.deployment
class Flaky:
    """Answers, or raises."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    async def __call__(self, _: Request) -> PlainTextResponse:
        """Answer one HTTP request."""
        if next(self._numbers) % 3 == 0:
            raise RuntimeError("the third")
        return PlainTextResponse("fine")


def build(_: dict[str, str]) -> Application:
    """Build the app."""
    return Flaky.bind()  # type: ignore[attr-defined]  # Ray types the decorator as identity
