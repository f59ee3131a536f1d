"""What each bundled app takes: the `args` of its entry in a Serve config.

Importable without Ray, so that a Serve config can be checked where Ray is not installed.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MEBIBYTE = 2**20


class AppArgs(BaseModel):
    """The base of all: Serve itself lets unknown keys pass, so a typo must fail here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(AppArgs):
    """What one request may take.

    Attributes:
        timeout_seconds: From the request's arrival at the app to the last byte of its answer.
        max_body_bytes: Of the request's body.
        log_prompts: Whether the texts of requests may be logged.
    """

    timeout_seconds: float = Field(default=60, gt=0)
    max_body_bytes: int = Field(default=4 * MEBIBYTE, gt=0)
    log_prompts: bool = False


class HelloArgs(AppArgs):
    """What the `hello` app takes."""

    message: str = "Hello from llmpipeline"


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


class SamplingArgs(AppArgs):
    """How the next token is chosen, where a request does not say."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=256, ge=1)
    stop: tuple[str, ...] = ()


class EngineArgs(AppArgs):
    """A model in vLLM. `engine` holds any argument of vLLM's AsyncEngineArgs by its own name."""

    model: ModelArgs
    engine: dict[str, Any] = {}


class GenerateArgs(EngineArgs):
    """What the `generate` app takes."""

    sampling: SamplingArgs = SamplingArgs()
    limits: Limits = Limits()


class ClassifyArgs(AppArgs):
    """A sequence classifier."""

    model: ModelArgs


class EmbedArgs(AppArgs):
    """A text encoder. `pooling` makes one vector of a text's: their mean, or the first token's (`cls`)."""

    model: ModelArgs
    pooling: Literal["mean", "cls"] = "mean"


class CustomArgs(AppArgs):
    """The user's own function: `import_path` is `MODULE:NAME` of it, or of a class of which an instance is one.

    In a batch it makes a list of outputs of a list of inputs, in a graph a JSON object of its input.
    """

    import_path: str


class BatchArgs(AppArgs):
    """What the `batch` app takes: exactly one kind of work."""

    classify: ClassifyArgs | None = None
    embed: EmbedArgs | None = None
    custom: CustomArgs | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.classify, self.embed, self.custom)) != 1:
            raise ValueError("give exactly one of classify, embed and custom")
        return self


class BatchSettings(AppArgs):
    """The `user_config` of a deployment that works in batches: what may change while it runs."""

    max_batch_size: int = Field(default=8, ge=1)
    batch_wait_milliseconds: int = Field(default=0, ge=0)


class SummarizeArgs(AppArgs):
    """A sequence-to-sequence model that shortens texts.

    Attributes:
        minimum_words: A text of fewer words is returned as it is.
        max_tokens: Of a summary.
        prefix: Put before each text, as T5 wants it: `summarize: `.
        beams: Of the beam search; 1 is greedy.
    """

    model: ModelArgs
    minimum_words: int = Field(default=30, ge=0)
    max_tokens: int = Field(default=128, ge=1)
    prefix: str = ""
    beams: int = Field(default=1, ge=1)
