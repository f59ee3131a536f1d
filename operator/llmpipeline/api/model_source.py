"""Models: where they come from, and how their engine is set."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from llmpipeline.api.base import Model, any_object, exactly_one
from llmpipeline.api.defaults import GPU_MEMORY_PERCENT
from llmpipeline.api.run_code import run_code

# Where the claims of `pvc://` are in the Ray Pods, each in a folder of its name. No folder of an image is below it.
CLAIMS_FOLDER: Final = "/mnt/claims"
_REPOSITORY: Final = r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?"
# A volume has the claim's name after a prefix, in the 63 characters of a label.
_CLAIM: Final = r"[a-z0-9]([-a-z0-9]{0,54}[a-z0-9])?"
_HUB_URI: Final = rf"hf://{_REPOSITORY}(@[A-Za-z0-9._/-]{{1,128}})?"
_CLAIM_URI: Final = rf"pvc://{_CLAIM}(/[A-Za-z0-9._/-]*)?"
_STORE_URI: Final = r"(s3|gs|abfss|azure)://.+"
_PARTS_OF_HUB: Final = re.compile(r"hf://(?P<repository>[^@]+)(@(?P<revision>.+))?")
_PARTS_OF_CLAIM: Final = re.compile(r"pvc://(?P<claim>[^/]+)(?P<folder>/.*)?")


class SecretKeyReference(Model):
    """A key of a Secret in the pipeline's namespace. The operator never reads it; Pods do."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The Secret's name.")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The key in the Secret.")


class HuggingFace(Model):
    """A model repository on the Hugging Face hub."""

    repository: Annotated[str, Field(pattern=rf"^{_REPOSITORY}$", max_length=256)] = Field(
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

    hugging_face: HuggingFace | None = Field(
        default=None, description="A repository on the Hugging Face hub: the long form of hf://, which takes a token."
    )
    path: Annotated[str, Field(pattern=r"^/", max_length=1024)] | None = Field(
        default=None, description="A directory in the Ray image or in a mounted volume, like /models/llama."
    )
    uri: Annotated[str, Field(pattern=rf"^({_HUB_URI}|{_CLAIM_URI}|{_STORE_URI})$", max_length=1024)] | None = Field(
        default=None,
        description="A repository on the Hugging Face hub (hf://Qwen/Qwen3-8B, or with a revision hf://Qwen/Qwen3-8B"
        "@main), a directory in a PersistentVolumeClaim of the namespace (pvc://models/llama), which the Pods mount "
        "read-only, or a directory in an object store (s3://bucket/llama; also gs, abfss, azure).",
    )

    @property
    def hub(self) -> HuggingFace | None:
        """The repository on the Hugging Face hub, in either form; None if it comes from elsewhere."""
        found = _PARTS_OF_HUB.fullmatch(self.uri or "")
        if not found:
            return self.hugging_face
        return HuggingFace(repository=found["repository"], revision=found["revision"])

    @property
    def claim(self) -> str | None:
        """The PersistentVolumeClaim that holds it, if one does."""
        found = _PARTS_OF_CLAIM.fullmatch(self.uri or "")
        return found["claim"] if found else None

    @property
    def folder(self) -> str | None:
        """Its directory in the Ray Pods, if it is there without a download."""
        found = _PARTS_OF_CLAIM.fullmatch(self.uri or "")
        return f"{CLAIMS_FOLDER}/{found['claim']}{found['folder'] or ''}".rstrip("/") if found else self.path

    @property
    def store(self) -> str | None:
        """Its directory in an object store, if it is in one."""
        return None if self.hub or self.folder else self.uri


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
