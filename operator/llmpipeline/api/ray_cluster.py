"""The Ray cluster that the apps run on."""

from typing import Annotated, Literal

from pydantic import Field

from llmpipeline.api.deployment import Count, PositiveCount, Seconds
from llmpipeline.api.fault_tolerance import FaultTolerance
from llmpipeline.api.model import Model, Rule, named_list
from llmpipeline.api.models import Accelerator
from llmpipeline.api.names import ObjectName
from llmpipeline.api.pods import EnvironmentVariable, PodSettings
from llmpipeline.api.quantity import Quantity

# Below it KubeRay's token authentication, HTTP probes and the Serve options that are rendered do not all exist.
OLDEST_RAY = (2, 56)


class LocalReference(Model):
    """An object of the pipeline's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The object's name.")


class ModelCache(Model):
    """Where downloaded models are kept."""

    path: Annotated[str, Field(pattern=r"^/.", max_length=1024)] = Field(
        description="The folder in the Ray Pods, like /models."
    )
    claim_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="The PersistentVolumeClaim that is mounted there, which all Pods can write at once "
        "(ReadWriteMany). Left out: in the container's own file system, lost with each Pod.",
    )


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

    version: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,3})\.[0-9]{1,4}\.[0-9]{1,4}$", max_length=14)] = Field(
        description='The Ray version that is in the image, like "2.60.0".'
    )
    image: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="The image of every Ray Pod. openai apps run on rayproject/ray-llm; hello needs an image with "
        "llmpipeline-serve in it."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled. Default: Kubernetes' own, by the image's tag."
    )
    image_pull_secrets: tuple[LocalReference, ...] = named_list(
        "Secrets to pull the image with, in the pipeline's namespace.", most=16
    )
    service_account_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="The ServiceAccount that the Ray Pods run as. Default: the namespace's default; the head of an "
        "autoscaled cluster gets one of KubeRay's making.",
    )
    model_cache: ModelCache | None = Field(
        default=None, description="Where downloaded models are kept. Default: in the container's home."
    )
    environment: tuple[EnvironmentVariable, ...] = named_list("Environment variables of every Ray Pod.", most=128)
    authentication: Literal["Token", "Disabled"] = Field(
        default="Token",
        description="Token: Ray's dashboard and control plane ask for a token, which KubeRay makes. The serving port "
        "is open either way.",
    )
    performance: Literal["Optimized", "Plain"] = Field(
        default="Optimized",
        description="Optimized: Ray's HAProxy, direct streaming and throughput settings, on head and workers alike. "
        "Plain: as Ray comes.",
    )
    pod_security: Literal["Restricted", "Unset"] = Field(
        default="Restricted",
        description="Restricted: the Pods run as user 1000, as Ray's images do, within the restricted Pod security "
        "standard. Unset: as the image says.",
    )


class PodResources(Model):
    """What one Pod asks for."""

    cpus: Quantity | None = Field(default=None, description="CPU cores of the Pod, like 4 or 500m.")
    memory: Quantity | None = Field(default=None, description="Memory of the Pod, like 16Gi; also its limit.")


class Head(PodSettings):
    """The Pod that runs Ray's control plane. It runs no replica unless it is given CPUs for them."""

    rules = (*PodSettings.rules,)

    resources: PodResources | None = Field(
        default=None, description="What the head Pod asks for. Default 2 CPUs and 8Gi."
    )
    cpus_for_replicas: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0,
        description="Of the head's CPUs, how many replicas may take. Default 0: a replica there would share the "
        "control plane's fate.",
    )
    fault_tolerance: FaultTolerance | None = Field(
        default=None,
        description="Keeps Ray's cluster state outside the head, so that replicas go on serving while a new head "
        "comes up.",
    )


class Autoscaler(Model):
    """Ray's autoscaler, which adds and removes worker Pods with the replicas."""

    idle_timeout_seconds: Seconds | None = Field(
        default=None, description="A worker Pod that has run nothing for so long is removed. Default 60."
    )
    upscaling: Literal["Default", "Conservative", "Aggressive"] | None = Field(
        default=None,
        description="Conservative: as many Pods wait to start as run. Default and Aggressive: no such limit.",
    )
    resources: PodResources | None = Field(
        default=None, description="What the autoscaler beside the head asks for. Default: KubeRay's, 500m and 512Mi."
    )


class WorkerAccelerator(Accelerator):
    """The GPUs of one worker Pod."""

    count: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="GPUs in each Pod of the group.")


class WorkerSettings(PodSettings):
    """What derived and given worker groups can both be told."""

    spot: bool | None = Field(
        default=None, description="Whether the Pods run on spot nodes (GKE, Karpenter, AKS), and on these alone."
    )
    idle_timeout_seconds: Seconds | None = Field(
        default=None, description="A Pod that has run nothing for so long is removed. Default: the autoscaler's."
    )


class WorkerGroup(WorkerSettings):
    """Pods of one kind that replicas run on."""

    rules = (
        *WorkerSettings.rules,
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
    max_replicas: PositiveCount = Field(description="Most Pods.")
    hosts: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1,
        description="Pods that come and go together as one, like the hosts of a TPU slice; minReplicas and maxReplicas "
        "then count such sets.",
    )
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=0, description="Of groups that could take a replica, the autoscaler grows that of the highest priority."
    )
    resources: PodResources | None = Field(
        default=None,
        description="What each Pod asks for beside its GPUs. Default: 2 CPUs and 4Gi; with GPUs, for each of them 4 "
        "CPUs and 24Gi.",
    )
