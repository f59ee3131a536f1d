"""What each bundled app takes: the `args` of its entry in a Serve config.

Importable without Ray, so that a Serve config can be checked where Ray is not installed.
"""

from pydantic import BaseModel, ConfigDict


class AppArgs(BaseModel):
    """The base of all: Serve itself lets unknown keys pass, so a typo must fail here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HelloArgs(AppArgs):
    """What the `hello` app takes."""

    message: str = "Hello from llmpipeline"
