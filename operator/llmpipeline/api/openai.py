"""The `openai` app: models behind the OpenAI API, by Ray Serve LLM and vLLM."""

from typing import Annotated, Final, Literal

from pydantic import Field

from llmpipeline.api.accelerator import Accelerator, OnAccelerator
from llmpipeline.api.base import Model, Rule, named_list
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.kind import AppKind
from llmpipeline.api.model_source import Engine, ModelSource
from llmpipeline.api.name_types import ModelName

LORA_RANKS: Final = (1, 8, 16, 32, 64, 128, 256, 320, 512)


class Lora(Model):
    """Adapters of a model, fetched when the first request names them: `MODEL:ADAPTER` as the model id."""

    uri: Annotated[str, Field(pattern=r"^(s3|gs|abfss|azure)://.+", max_length=1024)] = Field(
        description="The directory in an object store, like s3://bucket/adapters. Each directory in it is an adapter."
    )
    max_adapters: Annotated[int, Field(ge=1, le=256)] = Field(
        default=4, description="Maximum number of adapters that a replica holds at once. Each uses GPU memory."
    )
    max_rank: Annotated[int, Field(ge=1, le=512)] = Field(
        default=16, description="The largest rank among the adapters: 1, 8, 16, 32, 64, 128, 256, 320 or 512."
    )

    rules = (
        Rule(
            cel=f"self.maxRank in {list(LORA_RANKS)}",
            message=f"vLLM takes these ranks: {', '.join(map(str, LORA_RANKS))}; give the next larger one",
            holds=lambda lora: lora.max_rank in LORA_RANKS,
            at=("maxRank",),
        ),
    )


class OpenAIModel(Deployment, OnAccelerator):
    """One model of an `openai` app: a deployment of its own that scales alone."""

    rules = (
        *Deployment.rules,
        Rule(
            cel="self.task == 'Generate' || !has(self.lora) && !has(self.prefill) && self.routing == 'Default'",
            message="lora, prefill and routing are for models that generate",
            holds=lambda model: (
                model.task == "Generate" or (not (model.lora or model.prefill) and model.routing == "Default")
            ),
            at=("task",),
        ),
        Rule(
            cel="!has(self.prefill) || !has(self.lora) && self.routing == 'Default'",
            message="prefill goes with neither lora nor routing",
            holds=lambda model: model.prefill is None or (model.lora is None and model.routing == "Default"),
            at=("prefill",),
        ),
    )

    name: ModelName = Field(description="The model ID that clients send.")
    source: ModelSource = Field(description="Where the model comes from.")
    accelerator: Accelerator | None = Field(
        default=None, description="The GPU that it runs on. Without it, the model runs on CPUs."
    )
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Number of GPUs that share each layer. They should be on one node."
    )
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Number of stages that the layers are split into. Each stage uses tensorParallelSize GPUs.",
    )
    placement: Literal["StrictPack", "Pack", "Spread", "StrictSpread"] | None = Field(
        default=None,
        description="How the GPUs of one replica are placed. StrictPack: all on one node. Pack: on as few nodes as "
        "possible. Spread: on as many as possible. StrictSpread: each on a node of its own. Default "
        "StrictPack; Pack if nodes do not have so many GPUs.",
    )
    engine: Engine | None = Field(default=None, description="Arguments of the vLLM engine.")
    task: Literal["Generate", "Embed"] = Field(
        default="Generate", description="Generate: chat and completions. Embed: only /v1/embeddings."
    )
    lora: Lora | None = Field(
        default=None, description="LoRA adapters of the model. Clients request one as MODEL:ADAPTER."
    )
    routing: Literal["Default", "PrefixAware"] = Field(
        default="Default",
        description="How a replica is chosen for a request. Default: one with few requests. PrefixAware: while the "
        "load is even, one that recently had a prompt with the same prefix.",
    )
    prefill: Deployment | None = Field(
        default=None,
        description="Disaggregated prefill/decode: prompts are processed by separate prefill replicas, each with the "
        "model's number of GPUs; the model's own replicas only decode. Needs NIXL in the image, and only "
        "one model in the app.",
    )


class OpenAI(AppKind):
    """Models behind the OpenAI API: /v1/models, /v1/chat/completions, /v1/completions and their kin."""

    rules = (
        Rule(
            cel="size(self.models) == 1 || !self.models.exists(model, has(model.prefill))",
            message="a model with prefill must be the only one in its app; give it an app of its own",
            holds=lambda openai: len(openai.models) == 1 or not any(model.prefill for model in openai.models),
            at=("models",),
        ),
    )

    models: tuple[OpenAIModel, ...] = named_list("The models. Each name is unique.", least=1, most=16)
    ingress: Deployment | None = Field(
        default=None,
        description="The deployment that receives the HTTP requests and passes them to the models. An app of one "
        "plain model needs none: without it, requests go directly to the model's replicas, which is "
        "faster.",
    )
