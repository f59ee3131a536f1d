"""The smallest app: one deployment that answers with a message. Read this one first.

A Serve config names it as `import_path: llmpipeline_serve.hello:build`.
"""

from typing import Any

from ray import serve
from ray.serve import Application
from starlette.requests import Request

from llmpipeline_serve.contract.hello import HelloArgs, HelloSettings


@serve.deployment
class Hello:
    """Answers every request with its message."""

    def __init__(self, args: HelloArgs) -> None:
        self._settings: HelloSettings = args

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take another message while running; Serve calls it with the `user_config`, and before the first request."""
        self._settings = HelloSettings.model_validate(user_config)

    async def __call__(self, request: Request) -> dict[str, str]:
        """Answer one HTTP request; Serve turns the result into JSON.

        The body says nothing, and is read all the same: a proxy may cut an answer that comes before it has sent the
        whole request.
        """
        async for _ in request.stream():
            pass
        context = serve.get_replica_context()
        return {
            "message": self._settings.message,
            "application": context.app_name,
            "replica": context.replica_id.unique_id,
        }


def build(args: HelloArgs) -> Application:
    """Build the app. Serve parses `args` by this function's annotation, so a wrong key fails by name."""
    return Hello.bind(args)  # type: ignore[attr-defined]  # Ray types the decorator as identity
