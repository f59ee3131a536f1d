"""What the `generate` app takes."""

from typing import Any, Final

from llmpipeline_serve.contract.base import Limits, Seconds
from llmpipeline_serve.contract.models import EngineArgs, SamplingArgs

IMPORT_PATH: Final = "llmpipeline_serve.generate:build"


class GenerateLimits(Limits):
    """What one request may take: a long answer takes minutes."""

    timeout_seconds: Seconds = 600


class GenerateArgs(EngineArgs):
    """One model that answers prompts."""

    sampling: SamplingArgs = SamplingArgs()
    limits: GenerateLimits = GenerateLimits()

    def question(self) -> dict[str, Any]:
        """A prompt."""
        return {"prompt": "Hello, who are you?"}
