"""The Ray cluster that the apps run on."""

from typing import Annotated, Final, Literal

from pydantic import Field

from llmpipeline.api.accelerator import Accelerator
from llmpipeline.api.base import Model, Rule, named_list
from llmpipeline.api.defaults import (
    AUTOSCALER_CPU_MILLI,
    AUTOSCALER_MEMORY,
    CPU_MILLI_PER_GPU,
    CPU_POD_MEMORY,
    CPU_POD_MILLI,
    GIB,
    HEAD_CPU_MILLI,
    HEAD_MEMORY,
    MEMORY_PER_GPU,
    MIB,
)
from llmpipeline.api.deployment import Count, PositiveCount, Seconds
from llmpipeline.api.fault_tolerance import FaultTolerance
from llmpipeline.api.name_types import ObjectName
from llmpipeline.api.pods import EnvironmentVariable, PodSettings
from llmpipeline.api.quantity import Quantity
from llmpipeline.api.run_code import run_code
from llmpipeline.api.safe_variables import ONLY_SAFE, UNSAFE_NAMES

# Below it KubeRay's token authentication, HTTP probes and the Serve options that are rendered do not all exist.
OLDEST_RAY = (2, 56)


# In CEL: directories that hold no code of the image.
_OWN_FOLDER: Final = "value.matches('^/(models|cache|data|mnt)(/|$)') && !value.contains('..')"


class LocalReference(Model):
    """An object of the pipeline's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The object's name.")


class ModelCache(Model):
    """Where downloaded models are kept."""

    path: Annotated[str, Field(pattern=r"^/.", max_length=1024)] = Field(
        description="The directory in the Ray Pods, like /models.",
        # Over the directories of the image a claim would bring other code.
        json_schema_extra=run_code("a ray.modelCache.path outside /models, /cache, /data and /mnt", unless=_OWN_FOLDER),
    )
    claim_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="The PersistentVolumeClaim that is mounted there. All Pods write to it at once, so it must be "
        "ReadWriteMany. Without it, the cache is in the container's own file system and is lost with the "
        "Pod.",
    )


RayVersion = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,3})\.[0-9]{1,4}\.[0-9]{1,4}$", max_length=14)]
ImageName = Annotated[str, Field(min_length=1, max_length=512)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]

# Of what has a version, which may be left out.
RECENT_RAY: Final = Rule(
    cel="!has(self.version) || int(self.version.split('.')[0]) > {0} || (int(self.version.split('.')[0]) == {0}"
    " && int(self.version.split('.')[1]) >= {1})".format(*OLDEST_RAY),
    message=f"Ray {OLDEST_RAY[0]}.{OLDEST_RAY[1]} or newer is needed",
    holds=lambda ray: not ray.version or tuple(int(part) for part in ray.version.split(".")[:2]) >= OLDEST_RAY,
    at=("version",),
)


class Ray(Model):
    """The Ray version and image, and how Ray Pods start."""

    rules = (RECENT_RAY,)

    # What the API server stores has no default of these two: a class fills them in (`classes.resolve`), so that they
    # are never empty where a plan is made.
    version: RayVersion = Field(
        default_factory=str, description='The Ray version in the image, like "2.60.0". Default: that of the class.'
    )
    image: ImageName = Field(
        default_factory=str,
        description="The image of every Ray Pod. The bundled apps need an image with llmpipeline-serve in it; openai "
        "and custom apps also run on rayproject/ray-llm. Default: the class's image for CPUs or, if anything asks for "
        "a GPU, for GPUs.",
    )
    image_pull_policy: PullPolicy | None = Field(
        default=None,
        description="When the image is pulled. Default: that of the class, or the Kubernetes default, which depends "
        "on the image's tag.",
    )
    image_pull_secrets: tuple[LocalReference, ...] = named_list(
        "Secrets to pull the image with, in the pipeline's namespace, in addition to those of the class.", most=16
    )
    service_account_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="The ServiceAccount that the Ray Pods run as. Default: the namespace's default ServiceAccount; "
        "for the head, one that KubeRay creates for Ray's autoscaler.",
        json_schema_extra=run_code("ray.serviceAccountName"),
    )
    model_cache: ModelCache | None = Field(
        default=None,
        description="The model cache: where downloaded models are kept. Default: that of the class, or the container's "
        "home directory.",
    )
    env: tuple[EnvironmentVariable, ...] = named_list(
        "Environment variables of every Ray Pod, in addition to those of the class.",
        most=128,
        mark=run_code("ray.env", unless=ONLY_SAFE, which=UNSAFE_NAMES),
    )
    authentication: Literal["Token", "Disabled"] = Field(
        default="Token",
        description="Token: Ray's dashboard and control plane require a token, which KubeRay creates. The serving "
        "port requires none in either case.",
        # Without a token anybody who reaches the head submits jobs to Ray.
        json_schema_extra=run_code("ray.authentication", unless="value == 'Token'"),
    )
    performance: Literal["Optimized", "Plain"] = Field(
        default="Optimized",
        description="Optimized: HAProxy instead of Serve's Python proxy, direct streaming and throughput settings, "
        "on head and workers. Plain: Ray's own defaults.",
    )
    pod_security: Literal["Restricted", "Unset"] = Field(
        default="Restricted",
        description="Restricted: the Pods run as user 1000, like Ray's images, within the restricted Pod Security "
        "Standard. Unset: as the image says.",
        json_schema_extra=run_code("ray.podSecurity", unless="value == 'Restricted'"),
    )


class PodResources(Model):
    """What one Pod asks for."""

    cpus: Quantity | None = Field(default=None, description="CPU cores of the Pod, like 4 or 500m.")
    memory: Quantity | None = Field(default=None, description="Memory of the Pod, like 16Gi; also its limit.")


class Head(PodSettings):
    """The Pod that runs Ray's control plane. It runs no replica unless it is given CPUs for them."""

    rules = (*PodSettings.rules,)

    resources: PodResources | None = Field(
        default=None,
        description=f"What the head Pod requests. Default {HEAD_CPU_MILLI // 1000} CPUs and {HEAD_MEMORY // GIB}Gi.",
    )
    cpus_for_replicas: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0,
        description="How many of the head's CPUs replicas may use. Default 0: a replica on the head fails together "
        "with Ray's control plane.",
    )
    fault_tolerance: FaultTolerance | None = Field(
        default=None,
        description="Keeps Ray's cluster state outside the head Pod (GCS fault tolerance), so that replicas keep "
        "serving while a new head starts.",
    )


class Autoscaler(Model):
    """Ray's autoscaler, which adds and removes worker Pods with the replicas."""

    idle_timeout_seconds: Seconds | None = Field(
        default=None, description="A worker Pod that has been idle for this long is removed. Default 60."
    )
    upscaling: Literal["Default", "Conservative", "Aggressive"] | None = Field(
        default=None,
        description="Conservative: at most as many Pods start at once as are running. Default and Aggressive: no "
        "such limit.",
    )
    resources: PodResources | None = Field(
        default=None,
        description="What the autoscaler container in the head Pod requests. Default "
        f"{AUTOSCALER_CPU_MILLI}m and {AUTOSCALER_MEMORY // MIB}Mi.",
    )


class WorkerAccelerator(Accelerator):
    """The GPUs of one worker Pod."""

    count: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="GPUs in each Pod of the group.")


class WorkerSettings(PodSettings):
    """Settings that derived and explicit worker groups share."""

    spot: bool | None = Field(
        default=None, description="Whether the Pods run only on spot nodes (GKE, Karpenter, AKS)."
    )
    idle_timeout_seconds: Seconds | None = Field(
        default=None,
        description="A Pod that has been idle for this long is removed. Default: idleTimeoutSeconds of the autoscaler.",
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
        default=None, description="The GPUs of each Pod. Without it, the group has only CPUs."
    )
    min_replicas: Count | None = Field(default=None, description="Minimum number of Pods. Default: maxReplicas.")
    max_replicas: PositiveCount = Field(description="Maximum number of Pods.")
    hosts: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1,
        description="Number of Pods that are created and removed together, like the hosts of a TPU slice. "
        "minReplicas and maxReplicas then count such sets.",
    )
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=0,
        description="If several groups could hold a replica, the autoscaler grows the one with the highest priority.",
    )
    resources: PodResources | None = Field(
        default=None,
        description=f"What each Pod requests in addition to its GPUs. Default {CPU_POD_MILLI // 1000} CPUs and "
        f"{CPU_POD_MEMORY // GIB}Gi; with GPUs, {CPU_MILLI_PER_GPU // 1000} CPUs and "
        f"{MEMORY_PER_GPU // GIB}Gi for each GPU.",
    )
