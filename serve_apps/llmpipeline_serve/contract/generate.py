"""What the `generate` app takes."""

from typing import Any, Final

from llmpipeline_serve.contract.base import AppArgs, Limits, Seconds
from llmpipeline_serve.contract.models import EngineArgs, SamplingArgs

IMPORT_PATH: Final = "llmpipeline_serve.generate:build"


class GenerateLimits(Limits):
    """What one request may take: a long answer takes minutes."""

    timeout_seconds: Seconds = 600


class GenerateArgs(EngineArgs):
    """One model that answers prompts: what only a restart changes."""

    def question(self) -> dict[str, Any]:
        """A prompt."""
        return {"prompt": "Hello, who are you?"}


class GenerateSettings(AppArgs):
    """The `user_config` of its deployment: what may change while requests are in flight."""

    sampling: SamplingArgs = SamplingArgs()
    limits: GenerateLimits = GenerateLimits()
