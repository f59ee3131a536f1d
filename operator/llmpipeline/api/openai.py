"""The `openai` app: models behind the OpenAI API, by Ray Serve LLM and vLLM."""

from typing import Annotated, Final, Literal

from pydantic import Field

from llmpipeline.api.deployment import Deployment
from llmpipeline.api.model import Model, Rule, named_list
from llmpipeline.api.models import Accelerator, Engine, ModelSource
from llmpipeline.api.names import ModelName

LORA_RANKS: Final = (1, 8, 16, 32, 64, 128, 256, 320, 512)


class Lora(Model):
    """Adapters of a model, fetched when the first request names them: `MODEL:ADAPTER` as the model id."""

    uri: Annotated[str, Field(pattern=r"^(s3|gs|abfss|azure)://.+", max_length=1024)] = Field(
        description="The folder in an object store, like s3://bucket/adapters, whose folders are the adapters."
    )
    max_adapters: Annotated[int, Field(ge=1, le=256)] = Field(
        default=4, description="Most adapters that a replica holds at once. Each takes GPU memory."
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


class OpenAIModel(Deployment):
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

    name: ModelName = Field(description="The model id that clients send.")
    source: ModelSource = Field(description="Where the model comes from.")
    accelerator: Accelerator | None = Field(
        default=None, description="The GPU that it runs on. Without it the model runs on CPUs."
    )
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="GPUs that share each layer. They should be on one node."
    )
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Stages that the layers are split into; each takes tensorParallelSize GPUs."
    )
    placement: Literal["StrictPack", "Pack", "Spread", "StrictSpread"] | None = Field(
        default=None,
        description="How the GPUs of one replica are placed: StrictPack, all on one node; Pack, on few; Spread, on "
        "many; StrictSpread, each on its own. Default StrictPack.",
    )
    engine: Engine | None = Field(default=None, description="Arguments of the vLLM engine.")
    task: Literal["Generate", "Embed"] = Field(
        default="Generate", description="Generate: chat and completions. Embed: /v1/embeddings alone."
    )
    lora: Lora | None = Field(default=None, description="Adapters of the model, each asked for as MODEL:ADAPTER.")
    routing: Literal["Default", "PrefixAware"] = Field(
        default="Default",
        description="How a request finds its replica. Default: to one with few requests. PrefixAware: to one that "
        "lately had a prompt with the same beginning, while the load is even.",
    )
    prefill: Deployment | None = Field(
        default=None,
        description="Reads prompts on replicas of their own, each with the model's number of GPUs; its own then only "
        "write answers. Needs NIXL in the image, and one model in the app.",
    )


class OpenAI(Model):
    """Models behind the OpenAI API: /v1/models, /v1/chat/completions, /v1/completions and their kin."""

    rules = (
        Rule(
            cel="size(self.models) == 1 || !self.models.exists(model, has(model.prefill))",
            message="a model with prefill must be the only one in its app; give it an app of its own",
            holds=lambda openai: len(openai.models) == 1 or not any(model.prefill for model in openai.models),
            at=("models",),
        ),
    )

    models: tuple[OpenAIModel, ...] = named_list("The models, told apart by name.", least=1, most=16)
    ingress: Deployment | None = Field(
        default=None,
        description="The deployment that takes the HTTP requests and passes them to the models. An app of one plain "
        "model needs none: left out, requests go to the model's replicas directly, which is faster.",
    )
