"""Models: where they come from, what they run on, how their engine is set."""

from typing import Annotated, Any, Literal

from pydantic import Field

from llmpipeline.api.deployment import AcceleratorType
from llmpipeline.api.model import Model, any_object, exactly_one


class SecretKeyReference(Model):
    """A key of a Secret in the pipeline's namespace. The operator never reads it; Pods do."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The Secret's name.")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The key in the Secret.")


class HuggingFace(Model):
    """A model repository on the Hugging Face hub."""

    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$", max_length=256)] = Field(
        description="The repository, like meta-llama/Llama-3.1-8B-Instruct."
    )
    revision: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None, description="A branch, tag or commit. A commit makes every start load the same bytes."
    )
    token_secret_ref: SecretKeyReference | None = Field(
        default=None, description="The Secret that holds the access token, for gated or private repositories."
    )


class ModelSource(Model):
    """Where a model comes from."""

    rules = (exactly_one("hugging_face", "path", "uri"),)

    hugging_face: HuggingFace | None = Field(default=None, description="A repository on the Hugging Face hub.")
    path: Annotated[str, Field(pattern=r"^/", max_length=1024)] | None = Field(
        default=None, description="A folder inside the Ray image or a volume mounted in it, like /models/llama."
    )
    uri: Annotated[str, Field(pattern=r"^(s3|gs|abfss|azure)://.+", max_length=1024)] | None = Field(
        default=None, description="A folder in an object store, like s3://bucket/llama."
    )


class Accelerator(Model):
    """The kind of GPU."""

    type: AcceleratorType = Field(
        description="The GPU's type, like L40S. It selects the nodes and becomes Ray's accelerator_type."
    )


class Engine(Model):
    """Arguments of the vLLM engine. What is not named here goes into `extra`."""

    max_model_length: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="Longest prompt and answer together, in tokens. Default: what the model allows."
    )
    gpu_memory_utilization_percent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="Share of the GPU's memory that the engine may take. Default 90."
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | None = Field(
        default=None, description="Number format of weights and activations. Default auto: the model's own."
    )
    extra: dict[str, Any] | None = any_object(
        "Any other argument of vLLM's engine, by its own name, like {enable_prefix_caching: true}."
    )
