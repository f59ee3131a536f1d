"""The status: what the operator says of a pipeline."""

from typing import Annotated, Literal

from pydantic import Field

from llmpipeline.api.model import Model, named_list

Text = Annotated[str, Field(max_length=4096)]
_SHORT = Annotated[str, Field(max_length=512)]


class Condition(Model):
    """One thing that is true, false or unknown of the pipeline, and why."""

    type: _SHORT = Field(description="What is judged: Accepted, Applied, Progressing or Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: _SHORT = Field(description="Why, as one word for machines.")
    message: Text = Field(description="Why and what to do, for people.")
    observed_generation: int = Field(description="The generation of the pipeline that this was said of.")
    last_transition_time: _SHORT = Field(
        description="When the status last changed.", json_schema_extra={"format": "date-time"}
    )


class DeploymentStatus(Model):
    """One Serve deployment of an app."""

    name: _SHORT = Field(description="The deployment's name in Ray Serve.")
    state: _SHORT = Field(description="Ray Serve's word for its state, like HEALTHY or UPDATING.")
    message: Text | None = Field(default=None, description="What Ray Serve says of it.")


class AppStatus(Model):
    """One app."""

    name: _SHORT = Field(description="The app's name.")
    state: _SHORT = Field(description="Ray Serve's word for its state, like RUNNING or DEPLOY_FAILED.")
    message: Text | None = Field(default=None, description="What Ray Serve says of it, where it is not running.")
    url: _SHORT | None = Field(default=None, description="Where it answers inside the cluster.")
    deployments: tuple[DeploymentStatus, ...] = named_list("Its deployments.", most=256)


class Gpus(Model):
    """How many GPUs the pipeline takes."""

    requested: int = Field(description="With every deployment at its fewest replicas.")
    maximum: int = Field(description="With every worker group at its most Pods.")


class RayServiceStatus(Model):
    """The RayService that was made of the pipeline."""

    name: _SHORT = Field(description="Its name.")
    active_cluster: _SHORT | None = Field(default=None, description="The RayCluster that serves.")
    pending_cluster: _SHORT | None = Field(default=None, description="The RayCluster that comes up to replace it.")


class ScaleStatus(Model):
    """What the scale subresource shows."""

    replicas: int = Field(description="Replicas that the scaled deployment is asked to have.")
    selector: _SHORT = Field(description="Label selector of the worker Pods that it may run on, for an HPA.")


class LastEdit(Model):
    """What the last change of the spec did, as it was known when it was applied."""

    effect: _SHORT = Field(description="None, InPlace, LivePatch, AddWorkers, NewCluster, Ignored, Suspend or Resume.")
    message: Text = Field(description="What it meant for requests and GPUs.")
    observed_generation: int = Field(description="The generation that the change made.")


class Status(Model):
    """What works and what does not."""

    observed_generation: int | None = Field(default=None, description="The generation that all of this was said of.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="Accepted, Applied, Progressing and Ready.",
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    url: _SHORT | None = Field(default=None, description="Where the pipeline answers inside the cluster.")
    ready_apps: _SHORT | None = Field(default=None, description="Running apps of all apps, like 2/3.")
    gpus: Gpus | None = Field(default=None, description="How many GPUs the pipeline takes.")
    apps: tuple[AppStatus, ...] = named_list("Each app.", most=32)
    scale: ScaleStatus | None = Field(default=None, description="The deployment that spec.scale names.")
    last_edit: LastEdit | None = Field(default=None, description="What the last change of the spec did.")
    ray_service: RayServiceStatus | None = Field(default=None, description="The RayService made of the pipeline.")
