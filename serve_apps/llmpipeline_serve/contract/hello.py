"""What the `hello` app takes."""

from typing import Final

from llmpipeline_serve.contract.base import AppArgs

IMPORT_PATH: Final = "llmpipeline_serve.hello:build"


class HelloArgs(AppArgs):
    """A greeting."""

    message: str = "Hello from llmpipeline"
