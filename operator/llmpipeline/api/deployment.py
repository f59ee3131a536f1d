"""The block that every Serve deployment takes, whichever app it belongs to."""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from llmpipeline.api.accelerator import Gpu
from llmpipeline.api.base import Model, Rule, any_object, at_most_one
from llmpipeline.api.defaults import (
    CPU_MILLI,
    LEAST_QUEUE,
    LONGEST_DRAIN_SECONDS,
    ONGOING_REQUESTS,
    QUEUE_PER_ONGOING,
)
from llmpipeline.api.name_types import ImportPath
from llmpipeline.api.quantity import Gpus, Quantity
from llmpipeline.api.run_code import run_code

Count = Annotated[int, Field(ge=0, le=10_000)]
PositiveCount = Annotated[int, Field(ge=1, le=10_000)]
Requests = Annotated[int, Field(ge=1, le=1_000_000)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
UpdateOrder = Literal["StartFirst", "StopFirst"]
Factor = Annotated[float, Field(ge=0.001, le=1000)]
PositiveSeconds = Annotated[int, Field(ge=1, le=86_400)]


ONGOING_DESCRIPTION: Final = (
    f"Maximum number of in-flight requests per replica; more wait in the queue. Default: {ONGOING_REQUESTS.summary}."
)
QUEUED_DESCRIPTION: Final = (
    "Maximum number of requests that wait per caller; more are answered with 503 at once. -1: no limit. Default: "
    f"{QUEUE_PER_ONGOING} for each request that all replicas can process at once, at least {LEAST_QUEUE}; no limit for "
    "custom apps and for openai models behind an ingress."
)


class ScalingPolicy(Model):
    """Code that decides how many replicas there are, instead of Ray Serve's own."""

    import_path: ImportPath = Field(
        description="The function in the image, like my_app.scaling:policy. Ray Serve calls it with an "
        "AutoscalingContext."
    )
    args: dict[str, Any] | None = any_object("Keyword arguments of the function.")


class Autoscaling(Model):
    """Scale the replicas with the load."""

    rules = (
        Rule(
            cel="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            message="minReplicas must not be above maxReplicas",
            holds=lambda scaling: scaling.min_replicas is None or scaling.min_replicas <= scaling.max_replicas,
            at=("minReplicas",),
        ),
        Rule(
            cel="!has(self.initialReplicas) || self.initialReplicas <= self.maxReplicas"
            " && self.initialReplicas >= (has(self.minReplicas) ? self.minReplicas : 1)",
            message="initialReplicas must be between minReplicas and maxReplicas",
            holds=lambda scaling: (
                scaling.initial_replicas is None
                or (1 if scaling.min_replicas is None else scaling.min_replicas)
                <= scaling.initial_replicas
                <= scaling.max_replicas
            ),
            at=("initialReplicas",),
        ),
        Rule(
            cel="!has(self.downscaleToZeroDelaySeconds) || has(self.minReplicas) && self.minReplicas == 0",
            message="downscaleToZeroDelaySeconds needs minReplicas 0",
            holds=lambda scaling: scaling.downscale_to_zero_delay_seconds is None or scaling.min_replicas == 0,
            at=("downscaleToZeroDelaySeconds",),
        ),
        Rule(
            cel="(has(self.lookBackPeriodSeconds) ? self.lookBackPeriodSeconds : 30)"
            " > (has(self.metricsIntervalSeconds) ? self.metricsIntervalSeconds : 10)",
            message="lookBackPeriodSeconds (default 30) must be above metricsIntervalSeconds (default 10)",
            holds=lambda scaling: (scaling.look_back_period_seconds or 30) > (scaling.metrics_interval_seconds or 10),
            at=("lookBackPeriodSeconds",),
        ),
    )

    min_replicas: Count | None = Field(
        default=None,
        description="Minimum number of replicas. With 0 the deployment scales to zero, and the first request waits "
        "for a replica. Default 1.",
    )
    max_replicas: PositiveCount = Field(
        description="Maximum number of replicas. It limits how many GPUs the pipeline uses."
    )
    target_ongoing_requests: Requests | None = Field(
        default=None,
        description="In-flight requests per replica that autoscaling aims at; a lower number scales up earlier. "
        "Default: half of maxOngoingRequests.",
    )
    initial_replicas: Count | None = Field(
        default=None, description="Replicas when the app is first deployed. Default: minReplicas."
    )
    upscale_delay_seconds: Seconds | None = Field(
        default=None, description="How long the load must be high before replicas are added. Default 30."
    )
    downscale_delay_seconds: Seconds | None = Field(
        default=None, description="How long the load must be low before replicas are removed. Default 600."
    )
    downscale_to_zero_delay_seconds: Seconds | None = Field(
        default=None,
        description="How long there must be no request before the last replica is removed. Default: "
        "downscaleDelaySeconds.",
    )
    upscale_factor: Factor | None = Field(
        default=None,
        description="Above 1, replicas are added faster than the load requires; below 1, slower. Default 1.",
    )
    downscale_factor: Factor | None = Field(
        default=None,
        description="Above 1, replicas are removed faster than the load allows; below 1, slower. Default 1.",
    )
    look_back_period_seconds: PositiveSeconds | None = Field(
        default=None, description="The window over which the load is measured. Default 30."
    )
    metrics_interval_seconds: PositiveSeconds | None = Field(
        default=None, description="How often replicas report their load. Default 10."
    )
    aggregation: Literal["Mean", "Min", "Max"] | None = Field(
        default=None, description="How the measurements within lookBackPeriodSeconds are combined. Default Mean."
    )
    policy: ScalingPolicy | None = Field(
        default=None,
        description="Your own function that decides the number of replicas.",
        json_schema_extra=run_code("autoscaling.policy"),
    )


class Resources(Model):
    """What one replica needs."""

    rules = (
        Rule(
            cel="!has(self.accelerator) || has(self.gpus) && string(self.gpus) != '0'",
            message="accelerator is the kind of the GPUs: give gpus too",
            holds=lambda resources: resources.accelerator is None or str(resources.gpus or 0) != "0",
            at=("accelerator",),
        ),
    )

    cpus: Quantity | None = Field(
        default=None, description=f"CPU cores of one replica, like 1 or 500m. Default {CPU_MILLI // 1000}."
    )
    gpus: Gpus | None = Field(
        default=None,
        description="GPUs of one replica: an integer, or a fraction of one GPU like 500m, whose memory Ray does not "
        "divide. Default 0.",
    )
    accelerator: Gpu | None = Field(
        default=None,
        description="The kind of the GPUs, like {type: L4}. Default: any type that a worker group has.",
    )
    memory: Quantity | None = Field(
        default=None, description="Memory of one replica, like 2Gi. Ray uses it for placement and does not enforce it."
    )


class HealthCheck(Model):
    """How Ray Serve asks a replica whether it is well."""

    period_seconds: PositiveSeconds | None = Field(default=None, description="Time between two checks. Default 10.")
    timeout_seconds: PositiveSeconds | None = Field(
        default=None, description="A replica that has not answered a check within this time is replaced. Default 30."
    )


class GracefulShutdown(Model):
    """What a replica gets before it is stopped, so that in-flight requests can finish."""

    wait_loop_seconds: Seconds | None = Field(
        default=None, description="How often Ray Serve checks whether there are still in-flight requests. Default 2."
    )
    timeout_seconds: Annotated[int, Field(ge=0, le=LONGEST_DRAIN_SECONDS)] | None = Field(
        default=None,
        description="A replica that still has in-flight requests after this time is stopped. At most "
        "spec.drainSeconds, which is the default.",
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
    autoscaling: Autoscaling | None = Field(default=None, description="Scale the number of replicas with the load.")
    max_ongoing_requests: Requests | None = Field(default=None, description=ONGOING_DESCRIPTION)
    max_queued_requests: Annotated[int, Field(ge=-1, le=1_000_000)] | None = Field(
        default=None,
        description=QUEUED_DESCRIPTION,
    )
    resources: Resources | None = Field(default=None, description="What one replica needs.")
    health_check: HealthCheck | None = Field(default=None, description="How Ray Serve checks the health of a replica.")
    graceful_shutdown: GracefulShutdown | None = Field(
        default=None, description="How a replica is stopped, so that in-flight requests can finish."
    )
    update_order: UpdateOrder | None = Field(
        default=None,
        description="How an update replaces replicas, with Ray 2.60 or newer. StartFirst: a new replica starts before "
        "an old one stops; if there is no room for one more, the update waits and the old replicas answer. StopFirst: "
        "an old replica stops first, which needs no room. Default: StartFirst if the worker groups have room for one "
        "more replica, as derived groups do, else StopFirst.",
    )
