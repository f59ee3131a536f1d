"""The Ray cluster that the apps run on."""

from typing import Annotated, Literal

from pydantic import Field

from llmpipeline.api.deployment import Count
from llmpipeline.api.model import Model, Rule, named_list
from llmpipeline.api.models import Accelerator
from llmpipeline.api.names import ObjectName
from llmpipeline.api.quantity import Quantity

# Below it KubeRay's token authentication, HTTP probes and the Serve options that are rendered do not all exist.
OLDEST_RAY = (2, 56)


class LocalReference(Model):
    """An object of the pipeline's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The object's name.")


class Ray(Model):
    """Which Ray, and how its Pods start."""

    rules = (
        Rule(
            cel="int(self.version.split('.')[0]) > {0} || (int(self.version.split('.')[0]) == {0}"
            " && int(self.version.split('.')[1]) >= {1})".format(*OLDEST_RAY),
            message=f"Ray {OLDEST_RAY[0]}.{OLDEST_RAY[1]} or newer is needed",
            holds=lambda ray: tuple(int(part) for part in ray.version.split(".")[:2]) >= OLDEST_RAY,
            at=("version",),
        ),
    )

    version: Annotated[str, Field(pattern=r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$", max_length=14)] = Field(
        description='The Ray version that is in the image, like "2.60.0".'
    )
    image: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="The image of every Ray Pod. openai apps run on rayproject/ray-llm; hello needs an image with "
        "llmpipeline-serve in it."
    )
    image_pull_secrets: tuple[LocalReference, ...] = named_list(
        "Secrets to pull the image with, in the pipeline's namespace.", most=16
    )
    service_account_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="The ServiceAccount that the Ray Pods run as. Default: the namespace's default."
    )
    model_cache_path: Annotated[str, Field(pattern=r"^/", max_length=1024)] | None = Field(
        default=None,
        description="The folder in the Ray Pods that downloaded models are kept in. Default: in the container's home.",
    )
    authentication: Literal["Token", "Disabled"] = Field(
        default="Token",
        description="Token: Ray's dashboard and control plane ask for a token, which KubeRay makes. The serving port "
        "is open either way.",
    )


class PodResources(Model):
    """What one Pod asks for."""

    cpus: Quantity | None = Field(default=None, description="CPU cores of the Pod, like 4 or 500m.")
    memory: Quantity | None = Field(default=None, description="Memory of the Pod, like 16Gi; also its limit.")


class Head(Model):
    """The Pod that runs Ray's control plane. It runs no replica."""

    resources: PodResources | None = Field(
        default=None, description="What the head Pod asks for. Default 2 CPUs and 8Gi."
    )


class WorkerAccelerator(Accelerator):
    """The GPUs of one worker Pod."""

    count: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="GPUs in each Pod of the group.")


class WorkerGroup(Model):
    """Pods of one kind that replicas run on."""

    rules = (
        Rule(
            cel="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            message="minReplicas must not be above maxReplicas",
            holds=lambda group: group.min_replicas is None or group.min_replicas <= group.max_replicas,
            at=("minReplicas",),
        ),
    )

    name: ObjectName = Field(description="The group's name, unique in the pipeline.")
    accelerator: WorkerAccelerator | None = Field(
        default=None, description="The GPUs of each Pod. Without it the group has CPUs alone."
    )
    min_replicas: Count | None = Field(default=None, description="Fewest Pods. Default: maxReplicas.")
    max_replicas: Annotated[int, Field(ge=1, le=10_000)] = Field(description="Most Pods.")
    resources: PodResources | None = Field(
        default=None,
        description="What each Pod asks for beside its GPUs. Default: 2 CPUs and 4Gi; with GPUs, for each of them 4 "
        "CPUs and 24Gi.",
    )
