"""The status: what the operator says of a pipeline."""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from llmpipeline.api.base import Model, named_list

Text = Annotated[str, Field(max_length=4096)]
_SHORT = Annotated[str, Field(max_length=512)]


# The generation of a pipeline that no operator has processed: no pipeline has it.
NOT_OBSERVED: Final = -1


class _Said(Model):
    """A part of the status. What another version wrote in it is passed over when it is read."""

    model_config = ConfigDict(extra="ignore")


class Condition(_Said):
    """One thing that is true, false or unknown of the pipeline, and why."""

    type: _SHORT = Field(description="Accepted, Applied, Stalled, Reconciling, Available or Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: _SHORT = Field(description="Why, as one word for programs.")
    message: Text = Field(description="Why and what to do, for people.")
    observed_generation: int = Field(description="The generation of the pipeline that this condition is about.")
    last_transition_time: _SHORT = Field(
        description="When the status last changed.", json_schema_extra={"format": "date-time"}
    )


class DeploymentStatus(_Said):
    """One Serve deployment of an app."""

    name: _SHORT = Field(description="The deployment's name in Ray Serve.")
    state: _SHORT = Field(description="Its state in Ray Serve, like HEALTHY or UPDATING.")
    message: Text | None = Field(default=None, description="Ray Serve's message.")


class FailureStatus(_Said):
    """When and how an app failed."""

    time: _SHORT = Field(description="When.", json_schema_extra={"format": "date-time"})
    message: Text = Field(description="Why, in Ray Serve's words.")


class AppStatus(_Said):
    """One app."""

    name: _SHORT = Field(description="The app's name.")
    state: _SHORT = Field(description="Its state in Ray Serve, like RUNNING or DEPLOY_FAILED.")
    message: Text | None = Field(default=None, description="Ray Serve's message, if it is not running.")
    failures: int | None = Field(
        default=None, description="How often it has failed after it ran, until it has run for ten minutes."
    )
    last_failure: FailureStatus | None = Field(default=None, description="The last of these failures.")
    url: _SHORT | None = Field(default=None, description="Where it answers.")
    deployments: tuple[DeploymentStatus, ...] = named_list("Its deployments.", most=256)


class GpuCount(_Said):
    """How many GPUs the pipeline uses."""

    requested: int = Field(description="With every deployment at its minimum number of replicas.")
    maximum: int = Field(description="With every worker group at its maximum number of Pods.")


class RayServiceStatus(_Said):
    """The RayService that was made of the pipeline."""

    name: _SHORT = Field(description="Its name.")
    active_cluster: _SHORT | None = Field(default=None, description="The RayCluster that serves.")
    pending_cluster: _SHORT | None = Field(default=None, description="The RayCluster that will replace it.")


class StageStatus(_Said):
    """Where the start of a Ray cluster or of apps is."""

    name: _SHORT = Field(
        description="WaitingForKubeRay, CreatingPods, Scheduling, StartingContainers, JoiningRay or StartingApps."
    )
    since: _SHORT = Field(description="When it began.", json_schema_extra={"format": "date-time"})
    message: Text | None = Field(
        default=None, description="How far it is, and what to look at if it takes longer than usual."
    )


class ScaleStatus(_Said):
    """What the scale subresource shows."""

    replicas: int = Field(description="Number of replicas that the deployment should have.")
    selector: _SHORT = Field(description="Label selector of the worker Pods that it can run on, which an HPA needs.")


class LastEdit(_Said):
    """The effect of the last change of the spec, as it was known when it was applied."""

    effect: _SHORT = Field(
        description="Unchanged, InPlace, LivePatch, AddWorkers, NewCluster, Ignored, Suspend or Resume."
    )
    message: Text = Field(description="What it does to requests and GPUs.")
    observed_generation: int = Field(description="The generation that the change created.")


class Status(_Said):
    """What works and what does not."""

    observed_generation: int | None = Field(default=None, description="The generation that this status is about.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="Accepted, Applied, Stalled, Reconciling, Available and Ready.",
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    stage: StageStatus | None = Field(default=None, description="Where a start is; nothing if nothing starts.")
    url: _SHORT | None = Field(
        default=None,
        description="Where the pipeline answers inside the cluster, or with incremental upgrades at its Gateway.",
    )
    ready_apps: _SHORT | None = Field(default=None, description="Number of running apps and of all apps, like 2/3.")
    gpus: GpuCount | None = Field(default=None, description="How many GPUs the pipeline uses.")
    apps: tuple[AppStatus, ...] = named_list("Each app.", most=32)
    scale: ScaleStatus | None = Field(default=None, description="The deployment that spec.scale names.")
    last_edit: LastEdit | None = Field(default=None, description="What the last change of the spec did.")
    ray_service: RayServiceStatus | None = Field(default=None, description="The pipeline's RayService.")

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type; None if there is none."""
        return next((item for item in self.conditions if item.type == kind), None)

    @property
    def is_ready(self) -> bool:
        """Whether the condition Ready is true."""
        return any(item.type == "Ready" and item.status == "True" for item in self.conditions)

    def is_settled(self, generation: int) -> bool:
        """Whether nothing is in progress of this generation: it was said that the change has been carried out."""
        said = self.condition("Reconciling")
        return said is not None and (said.reason, said.observed_generation) == ("Settled", generation)

    def written(self) -> dict[str, Any]:
        """As the API server takes it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Status":
        """The status of a pipeline as read. One that is not ours, or of a version that wrote it otherwise, is empty."""
        try:
            return cls.model_validate_json(json.dumps(document.get("status") or {}))
        except ValidationError:
            return cls()
