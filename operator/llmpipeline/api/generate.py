"""The `generate` app: a prompt in, a text out."""

from typing import Annotated, ClassVar

from pydantic import Field

from llmpipeline.api.limits import HttpDeployment
from llmpipeline.api.model import Model, Rule
from llmpipeline.api.models import Accelerator, Engine, ModelSource

Text = Annotated[str, Field(min_length=1, max_length=256)]


class Sampling(Model):
    """How the next token is chosen, where a request does not say."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        default=None, description="0 takes the likeliest token; higher is more varied. Default 0.7."
    )
    top_p: Annotated[float, Field(ge=0.001, le=1)] | None = Field(
        default=None, description="Only the likeliest tokens that together have this probability. Default 1: all."
    )
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="Only so many of the likeliest tokens. Default 0: all."
    )
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="Most tokens of an answer. Default 256."
    )
    stop: Annotated[tuple[Text, ...], Field(max_length=16)] = Field(
        default=(), description="Texts that end the answer when they come up in it."
    )


class EngineModel(Model):
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
        default=None, description="The GPU that it runs on. Without it the model runs on CPUs."
    )
    tensor_parallel_size: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1, description="GPUs that share each layer, all on one node. (openai has models over several nodes.)"
    )
    engine: Engine | None = Field(default=None, description="Arguments of the vLLM engine.")
    sampling: Sampling | None = Field(default=None, description="How tokens are chosen, where a request does not say.")


class Generate(HttpDeployment, EngineModel):
    """One model that answers prompts: POST {"prompt": ...}, streamed where the request says so."""

    rules = (*HttpDeployment.rules, *EngineModel.rules)
