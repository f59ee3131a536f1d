"""The root of the second resource: what a platform team decides once for many pipelines."""

import re
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from llmpipeline.api.accelerator import GpuType
from llmpipeline.api.base import Model, Rule, named_list
from llmpipeline.api.companions import Monitoring, NetworkPolicy
from llmpipeline.api.pipeline import Texts
from llmpipeline.api.pods import EnvironmentVariable, Placement
from llmpipeline.api.ray_cluster import RECENT_RAY, ImageName, LocalReference, ModelCache, PullPolicy, RayVersion

# The name becomes the value of a label.
LONGEST_NAME: Final = 63
_NAME: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
# A letter, a digit or what else is in the name of an image; `*` stands for any of them, as often as wanted.
ImagePattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9*\[][A-Za-z0-9._/:@+*\[\]-]*$", max_length=512)]


class Images(Model):
    """The images of Ray Pods. They must contain the Ray version of the class."""

    cpu: ImageName = Field(description="The image of pipelines that ask for no GPU.")
    gpu: ImageName = Field(description="The image of pipelines in which anything asks for a GPU: also of their head.")


class ClassRay(Model):
    """The Ray version and images, and how Ray Pods start."""

    rules = (
        RECENT_RAY,
        Rule(
            cel="has(self.version) == has(self.images)",
            message="version and images go together: the images contain that version",
            holds=lambda ray: bool(ray.version) == (ray.images is not None),
            at=("version",),
        ),
    )

    version: RayVersion | None = Field(
        default=None, description='The Ray version in the images, like "2.60.0". Default: 2.60.0.'
    )
    images: Images | None = Field(
        default=None,
        description="The images of Ray Pods. Default: llmpipeline/serve:2.60.0-cpu and llmpipeline/serve:2.60.0-gpu.",
    )
    image_pull_policy: PullPolicy | None = Field(default=None, description="When the image is pulled.")
    image_pull_secrets: tuple[LocalReference, ...] = named_list(
        "Secrets to pull the image with. They must exist in the namespace of each pipeline.", most=16
    )
    model_cache: ModelCache | None = Field(
        default=None,
        description="Where downloaded models are kept. A claim must exist in the namespace of each pipeline.",
    )
    env: tuple[EnvironmentVariable, ...] = named_list("Environment variables of every Ray Pod.", most=32)


class ClassNetwork(Model):
    """How pipelines are reached, and by whom."""

    policy: NetworkPolicy | None = Field(
        default=None, description="The network policy of pipelines that have none of their own."
    )


class ClassSpec(Model):
    """What pipelines of this class get where they say nothing else."""

    ray: ClassRay | None = Field(default=None, description="The Ray version and images, and how Ray Pods start.")
    head: Placement | None = Field(default=None, description="Where head Pods run.")
    worker_defaults: Placement | None = Field(default=None, description="Where worker Pods run.")
    network: ClassNetwork | None = Field(default=None, description="How pipelines are reached, and by whom.")
    monitoring: Monitoring | None = Field(
        default=None,
        description="How pipelines are monitored. Each of its parts that a pipeline gives replaces the class's.",
    )
    gpu_types: tuple[GpuType, ...] = named_list(
        "Types of GPUs that these pipelines may name as accelerator.type in addition to the built-in ones, and what is "
        "different of the built-in ones in this cluster.",
        most=64,
    )
    allowed_images: Annotated[tuple[ImagePattern, ...], Field(max_length=64)] = Field(
        default=(),
        description="The images that Pods of these pipelines may have besides those of the class, like "
        "registry.example/llm/*. A * stands for any characters. It covers every container, also those of a "
        "podTemplate. If empty, any image is allowed.",
    )


class ClassMetadata(Model):
    """The part of the metadata that matters here."""

    model_config = ConfigDict(extra="ignore")

    name: str
    annotations: Texts = Field(default={})


class LLMPipelineClass(Model):
    """Defaults for pipelines, and the images and GPU types that they may have. Cluster-scoped, for administrators."""

    model_config = ConfigDict(extra="ignore")

    rules = (
        Rule(
            cel=f"size(self.metadata.name) <= {LONGEST_NAME} && "
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            message=f"the name may have at most {LONGEST_NAME} characters: lower-case letters, digits and dashes",
            holds=lambda it: len(it.metadata.name) <= LONGEST_NAME and bool(_NAME.fullmatch(it.metadata.name)),
            at=("metadata", "name"),
        ),
    )

    api_version: Literal["serving.llmpipeline.dev/v1alpha1"]
    kind: Literal["LLMPipelineClass"]
    metadata: ClassMetadata
    spec: ClassSpec = Field(description="What pipelines of this class get where they say nothing else.")
