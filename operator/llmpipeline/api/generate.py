"""The `generate` app: a prompt in, a text out."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from llmpipeline.api.accelerator import Accelerator, OnAccelerator
from llmpipeline.api.base import Model, Rule
from llmpipeline.api.http_deployment import HttpDeployment
from llmpipeline.api.kind import AppKind
from llmpipeline.api.model_source import Engine, ModelSource
from llmpipeline_serve.contract.models import SamplingArgs

Text = Annotated[str, Field(min_length=1, max_length=256)]
_SAMPLING: Final = SamplingArgs()


class Sampling(Model):
    """How the next token is chosen, where a request does not say."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        default=None,
        description="0 always takes the most likely token; higher values vary more. Default "
        f"{_SAMPLING.temperature:g}.",
    )
    top_p: Annotated[float, Field(ge=0.001, le=1)] | None = Field(
        default=None,
        description="Only the most likely tokens whose probabilities add up to this. Default "
        f"{_SAMPLING.top_p:g}: all tokens.",
    )
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description=f"Only this many of the most likely tokens. Default {_SAMPLING.top_k}: all tokens."
    )
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description=f"Maximum number of tokens of an answer. Default {_SAMPLING.max_tokens}."
    )
    stop: Annotated[tuple[Text, ...], Field(max_length=16)] = Field(
        default=(), description="Strings that end the answer when they occur in it."
    )


class EngineModel(Model, OnAccelerator):
    """A model in an engine of its own."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.tensorParallelSize == 1 || has(self.accelerator)",
            message="tensorParallelSize is about GPUs: give accelerator",
            holds=lambda model: model.tensor_parallel_size == 1 or model.accelerator is not None,
            at=("tensorParallelSize",),
        ),
    )

    model: ModelSource = Field(description="Where the model comes from.")
    accelerator: Accelerator | None = Field(
        default=None, description="The GPU that it runs on. Without it, the model runs on CPUs."
    )
    tensor_parallel_size: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1,
        description="Number of GPUs that share each layer, all on one node. For a model on several nodes use an "
        "openai app.",
    )
    engine: Engine | None = Field(default=None, description="Arguments of the vLLM engine.")
    sampling: Sampling | None = Field(default=None, description="How tokens are chosen if the request does not say.")


class Generate(HttpDeployment, EngineModel, AppKind):
    """One model that answers prompts: POST {"prompt": ...}, streamed where the request says so."""

    rules = (*HttpDeployment.rules, *EngineModel.rules)
