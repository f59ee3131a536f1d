"""Models: where they come from, what they run on, how their engine is set."""

from typing import Annotated, Any, Literal

from pydantic import Field

from llmpipeline.api.base import Model, Rule, any_object, exactly_one
from llmpipeline.api.defaults import GPU_MEMORY_PERCENT
from llmpipeline.api.deployment import AcceleratorType, Partition
from llmpipeline.api.run_code import run_code


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
        default=None, description="A branch, tag or commit. With a commit, every start loads the same files."
    )
    token_secret_ref: SecretKeyReference | None = Field(
        default=None, description="The Secret that holds the access token, for gated or private repositories."
    )


class ModelSource(Model):
    """Where a model comes from."""

    rules = (exactly_one("hugging_face", "path", "uri"),)

    hugging_face: HuggingFace | None = Field(default=None, description="A repository on the Hugging Face hub.")
    path: Annotated[str, Field(pattern=r"^/", max_length=1024)] | None = Field(
        default=None, description="A directory in the Ray image or in a mounted volume, like /models/llama."
    )
    uri: Annotated[str, Field(pattern=r"^(s3|gs|abfss|azure)://.+", max_length=1024)] | None = Field(
        default=None, description="A directory in an object store, like s3://bucket/llama."
    )


class OnAccelerator:
    """Marks a model whose GPUs are those of its `accelerator`, and no others."""


class Accelerator(Model):
    """The kind of GPU."""

    rules = (
        Rule(
            cel="!has(self.partition) || !self.type.startsWith('TPU') && !self.type.startsWith('MI')",
            message="partition is for NVIDIA GPUs",
            holds=lambda kind: kind.partition is None or not kind.type.startswith(("TPU", "MI")),
            at=("partition",),
        ),
        Rule(
            cel="self.type.startsWith('TPU') == has(self.topology)",
            message="TPUs, and they alone, have a topology",
            holds=lambda kind: kind.type.startswith("TPU") == (kind.topology is not None),
            at=("topology",),
        ),
    )

    type: AcceleratorType = Field(
        description="The GPU's type, like L40S. It selects the nodes and becomes Ray's accelerator_type."
    )
    partition: Partition | None = Field(
        default=None, description="The MIG slice of an NVIDIA GPU that counts as one GPU, like 1g.10gb."
    )
    topology: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}(x[1-9][0-9]{0,2}){1,2}$", max_length=16)] | None = Field(
        default=None, description="The topology of a TPU slice, like 2x4."
    )


class Engine(Model):
    """Arguments of the vLLM engine. What is not named here goes into `extra`."""

    max_model_length: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None,
        description="Maximum length of prompt and answer together, in tokens. Default: the model's own maximum.",
    )
    gpu_memory_utilization_percent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description=f"Share of the GPU memory that the engine uses. Default {GPU_MEMORY_PERCENT}."
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | None = Field(
        default=None, description="Number format of weights and activations. Default auto: the model's own format."
    )
    extra: dict[str, Any] | None = any_object(
        "Any other argument of vLLM's engine, by its own name, like {enable_prefix_caching: true}.",
        # Among them are trust_remote_code and the names of classes to load.
        run_code("engine.extra"),
    )
