"""Models in the arguments of apps: where they come from, and how their engine is set."""

from typing import Any, Self

from pydantic import Field, model_validator

from llmpipeline_serve.contract.base import AppArgs


class ModelArgs(AppArgs):
    """Where a model comes from: a repository on the Hugging Face hub, a local folder or a folder in an object store."""

    repository: str | None = None
    revision: str | None = None
    path: str | None = None
    uri: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.repository, self.path, self.uri)) != 1:
            raise ValueError("give exactly one of repository, path and uri")
        return self

    def __str__(self) -> str:
        return str(self.repository or self.path or self.uri)


class SamplingArgs(AppArgs):
    """How the next token is chosen, if a request does not say."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=256, ge=1)
    stop: tuple[str, ...] = ()


class EngineArgs(AppArgs):
    """A model in vLLM. `engine` holds any argument of vLLM's AsyncEngineArgs by its own name."""

    model: ModelArgs
    engine: dict[str, Any] = Field(default_factory=dict)
