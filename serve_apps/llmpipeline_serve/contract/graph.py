"""What the `graph` app takes."""

from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from llmpipeline_serve.contract.base import AppArgs, Limits, Seconds
from llmpipeline_serve.contract.models import EngineArgs, ModelArgs, SamplingArgs
from llmpipeline_serve.contract.texts import SAMPLE_TEXT, ClassifyArgs, CustomArgs, EmbedArgs, SummarizeArgs

IMPORT_PATH: Final = "llmpipeline_serve.graph.app:build"
KINDS: Final = ("preprocess", "classify", "summarize", "embed", "generate", "http", "custom")


class PreprocessArgs(AppArgs):
    """Cleaning of a text. `max_tokens` are counted by the tokenizer."""

    lowercase: bool = False
    tokenizer: ModelArgs | None = None
    max_tokens: int | None = Field(default=None, ge=1)


class GenerateNodeArgs(EngineArgs):
    """A model that answers a prompt, which is a Jinja2 template."""

    prompt: str
    sampling: SamplingArgs = SamplingArgs()


class HttpArgs(AppArgs):
    """A call of a service."""

    url: str
    method: Literal["GET", "POST", "PUT"] = "POST"


class NodeArgs(AppArgs):
    """One node. `when` and `input` are Jinja2 expressions over `request` and the results of the nodes before it."""

    name: str
    after: tuple[str, ...] = ()
    when: str | None = None
    input: str | None = None
    timeout_seconds: Seconds | None = None
    fallback: dict[str, Any] | None = None
    preprocess: PreprocessArgs | None = None
    classify: ClassifyArgs | None = None
    summarize: SummarizeArgs | None = None
    embed: EmbedArgs | None = None
    generate: GenerateNodeArgs | None = None
    http: HttpArgs | None = None
    custom: CustomArgs | None = None

    @property
    def work(self) -> AppArgs:
        """What it does: the one of its kinds that is given."""
        found: AppArgs = next(value for kind in KINDS if (value := getattr(self, kind)) is not None)
        return found

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS)}")
        return self


class GraphArgs(AppArgs):
    """The nodes, and the shape of the answer: an object whose texts are Jinja2 expressions."""

    nodes: tuple[NodeArgs, ...] = Field(min_length=1)
    output: dict[str, Any] | None = None
    limits: Limits = Limits()

    def question(self) -> dict[str, Any]:
        """A text, which the nodes of most graphs work on."""
        return {"text": SAMPLE_TEXT}
