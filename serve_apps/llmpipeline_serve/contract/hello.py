"""What the `hello` app takes."""

from typing import Final

from llmpipeline_serve.contract.base import AppArgs

IMPORT_PATH: Final = "llmpipeline_serve.hello:build"


class HelloSettings(AppArgs):
    """The `user_config` of its deployment: the greeting."""

    message: str = "Hello from llmpipeline"


class HelloArgs(HelloSettings):
    """The greeting of a deployment without a `user_config`, such as that of a `custom` app that names this one."""
