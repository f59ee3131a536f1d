"""Hand-written Ray Serve apps that do the same as the bundled ones: what these are measured against."""

from ray import serve
from ray.serve import Application
from starlette.requests import Request


@serve.deployment
class BareHello:
    """The `hello` app by hand."""

    async def __call__(self, _request: Request) -> dict[str, str]:
        """Answer with a greeting."""
        return {"message": "Hello from llmpipeline"}


@serve.deployment
class BareBatch:
    """The `batch` app by hand, with a function of the user's own."""

    async def __call__(self, request: Request) -> dict[str, object]:
        """Answer one item from a batch."""
        body = await request.json()
        return {"output": await self._batch(body["input"])}

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0)  # type: ignore[untyped-decorator]
    async def _batch(self, items: list[object]) -> list[object]:
        return same(items)


def same(items: list[object]) -> list[object]:
    """A batch function that costs nothing, so that what is measured is all around it."""
    return items


def hello(_args: dict[str, object]) -> Application:
    """Build the greeting."""
    return BareHello.bind()  # type: ignore[attr-defined]  # Ray types the decorator as identity


def batch(_args: dict[str, object]) -> Application:
    """Build the batches."""
    return BareBatch.bind()  # type: ignore[attr-defined]
