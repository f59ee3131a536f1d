"""The block that every Serve deployment takes, whichever app it belongs to."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from llmpipeline.api.model import Model, Rule, at_most_one
from llmpipeline.api.quantity import Quantity

Count = Annotated[int, Field(ge=0, le=10_000)]
PositiveCount = Annotated[int, Field(ge=1, le=10_000)]
Requests = Annotated[int, Field(ge=1, le=1_000_000)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
AcceleratorType = Literal["T4", "A10G", "L4", "L40S", "A100", "H100", "H200", "B200"]
PositiveSeconds = Annotated[int, Field(ge=1, le=86_400)]


class Autoscaling(Model):
    """Scale the replicas with the load."""

    rules = (
        Rule(
            cel="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            message="minReplicas must not be above maxReplicas",
            holds=lambda scaling: scaling.min_replicas is None or scaling.min_replicas <= scaling.max_replicas,
            at=("minReplicas",),
        ),
    )

    min_replicas: Count | None = Field(
        default=None,
        description="Fewest replicas. 0 lets the deployment sleep; the first request then waits. Default 1.",
    )
    max_replicas: PositiveCount = Field(description="Most replicas. The GPUs of a pipeline are bounded by it.")
    target_ongoing_requests: Requests | None = Field(
        default=None,
        description="Requests in work per replica that scaling aims at: lower scales up earlier. "
        "Default: half of maxOngoingRequests.",
    )
    upscale_delay_seconds: Seconds | None = Field(
        default=None, description="How long the load must be high before replicas are added. Default 30."
    )
    downscale_delay_seconds: Seconds | None = Field(
        default=None, description="How long the load must be low before replicas are removed. Default 600."
    )


class Resources(Model):
    """What one replica takes."""

    rules = (
        Rule(
            cel="!has(self.accelerator) || (has(self.gpus) && self.gpus > 0)",
            message="accelerator is the type of the GPUs: give gpus too",
            holds=lambda resources: resources.accelerator is None or bool(resources.gpus),
            at=("accelerator",),
        ),
    )

    cpus: Quantity | None = Field(default=None, description="CPU cores of one replica, like 1 or 500m. Default 1.")
    gpus: Annotated[int, Field(ge=0, le=64)] | None = Field(
        default=None, description="Whole GPUs of one replica. Default 0."
    )
    accelerator: AcceleratorType | None = Field(
        default=None, description="The type of the GPUs, like L4. Default: any that a worker group has."
    )
    memory: Quantity | None = Field(
        default=None, description="Memory of one replica, like 2Gi. Ray places by it but does not limit it."
    )


class HealthCheck(Model):
    """How Ray Serve asks a replica whether it is well."""

    period_seconds: PositiveSeconds | None = Field(default=None, description="Time between two checks. Default 10.")
    timeout_seconds: PositiveSeconds | None = Field(
        default=None, description="A replica that has not answered a check after this is replaced. Default 30."
    )


class GracefulShutdown(Model):
    """What a replica gets before it is stopped, so that requests in work can end."""

    wait_loop_seconds: Seconds | None = Field(
        default=None, description="How often it is looked whether requests are still in work. Default 2."
    )
    timeout_seconds: Seconds | None = Field(
        default=None, description="A replica that still works after this is stopped. Default 20."
    )


class Deployment(Model):
    """The block itself: how many replicas, what each takes, how requests reach it, how it is watched and stopped."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one("replicas", "autoscaling"),
        Rule(
            cel="!has(self.maxQueuedRequests) || self.maxQueuedRequests != 0",
            message="maxQueuedRequests must be -1 (no limit) or at least 1",
            holds=lambda deployment: deployment.max_queued_requests != 0,
            at=("maxQueuedRequests",),
        ),
    )

    replicas: PositiveCount | None = Field(default=None, description="A fixed number of replicas. Default 1.")
    autoscaling: Autoscaling | None = Field(
        default=None, description="Scale the replicas with the load, instead of a fixed number."
    )
    max_ongoing_requests: Requests | None = Field(
        default=None, description="Most requests in work at once per replica; more wait in the queue."
    )
    max_queued_requests: Annotated[int, Field(ge=-1, le=1_000_000)] | None = Field(
        default=None,
        description="Most requests that wait per caller; more are answered 503 at once. -1: no limit. "
        "Default: four times what all replicas can work on at once, at least 100; a custom app has no limit.",
    )
    resources: Resources | None = Field(default=None, description="What one replica takes.")
    health_check: HealthCheck | None = Field(default=None, description="How Ray Serve checks a replica.")
    graceful_shutdown: GracefulShutdown | None = Field(
        default=None, description="What a replica gets before it is stopped."
    )
