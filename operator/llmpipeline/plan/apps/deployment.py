"""The block that every deployment takes, in Ray Serve's terms."""

from typing import Any, Final, TypeVar

from llmpipeline.api.defaults import CPU_MILLI, LEAST_QUEUE, ONGOING_REQUESTS, QUEUE_PER_ONGOING
from llmpipeline.api.deployment import Autoscaling, Deployment
from llmpipeline.api.http_deployment import HttpDeployment
from llmpipeline.api.quantity import Range, ceil_units, milli
from llmpipeline.names import without_none
from llmpipeline.plan.capacity.accelerators import AcceleratorKind, accelerator_of
from llmpipeline.plan.capacity.demand import Bundle, Demand
from llmpipeline_serve.contract.base import Limits

RETRY_AFTER_SECONDS: Final = 1
_Limits = TypeVar("_Limits", bound=Limits)


def replicas(block: Deployment) -> Range:
    """How many replicas there may be."""
    if block.autoscaling:
        minimum = block.autoscaling.min_replicas
        return Range(1 if minimum is None else minimum, block.autoscaling.max_replicas)
    fixed = 1 if block.replicas is None else block.replicas
    return Range(fixed, fixed)


def options(block: Deployment, ongoing: int = ONGOING_REQUESTS.custom, *, bounded: bool = True) -> dict[str, Any]:
    """Ray Serve's options of a deployment, resources apart.

    Args:
        block: The user's settings.
        ongoing: Most in-flight requests per replica if the user does not say. Always rendered, with the autoscaling
            target: Ray's own defaults for LLM deployments are 10^9 each, and never scale up.
        bounded: Whether the queue has an end if the user does not say. Without one, an overload is answered by ever
            longer waits, and at last by timeouts.
    """
    most = block.max_ongoing_requests or ongoing
    waiting = block.max_queued_requests
    if waiting is None and bounded:
        waiting = max(LEAST_QUEUE, QUEUE_PER_ONGOING * most * replicas(block).maximum)
    given: dict[str, Any] = {"max_ongoing_requests": most, "max_queued_requests": waiting}
    if waiting and waiting > 0:
        given["backpressure_config"] = {"status_code": 503, "retry_after_s": RETRY_AFTER_SECONDS}
    if block.autoscaling:
        given["autoscaling_config"] = _autoscaling(block.autoscaling, most)
    else:
        given["num_replicas"] = replicas(block).minimum
    if block.health_check:
        given["health_check_period_s"] = block.health_check.period_seconds
        given["health_check_timeout_s"] = block.health_check.timeout_seconds
    if block.graceful_shutdown:
        given["graceful_shutdown_wait_loop_s"] = block.graceful_shutdown.wait_loop_seconds
        given["graceful_shutdown_timeout_s"] = block.graceful_shutdown.timeout_seconds
    return without_none(given)


def actor_options(block: Deployment) -> dict[str, Any]:
    """Ray's options of a replica's actor: what it takes."""
    share = bundle(block)
    given: dict[str, Any] = {"num_cpus": number(share.cpu_milli)}
    if share.gpu_milli:
        given["num_gpus"] = number(share.gpu_milli)
    if share.memory:
        given["memory"] = share.memory
    if kind := accelerator(block):
        given["accelerator_type"] = kind.ray
    return given


def bundle(block: Deployment) -> Bundle:
    """What one replica takes."""
    wanted = block.resources
    if not wanted:
        return Bundle(CPU_MILLI)
    return Bundle(
        cpu_milli=CPU_MILLI if wanted.cpus is None else milli(wanted.cpus),
        gpu_milli=0 if wanted.gpus is None else milli(wanted.gpus),
        memory=0 if wanted.memory is None else ceil_units(wanted.memory),
    )


def demand(app: str, serve: str | None, block: Deployment, part: str = "", deployment: str | None = "") -> Demand:
    """What a deployment takes, all of a replica in one Pod; `serve`, `part` and `deployment` as `Demand` has them."""
    shares = (bundle(block),)
    return Demand(
        app, part, deployment, accelerator(block), replicas(block), shares, serve=serve, order=block.update_order
    )


def accelerator(block: Deployment) -> AcceleratorKind | None:
    """The kind of GPU that a replica asks for, if it asks for one."""
    wanted = block.resources
    return accelerator_of(wanted.accelerator) if wanted and wanted.accelerator else None


def limits_args(block: HttpDeployment, kind: type[_Limits]) -> _Limits | None:
    """What the user set of a request's limits; None if that is nothing."""
    size = block.max_body_size
    limits = kind.of(
        timeout_seconds=block.timeout_seconds,
        max_body_bytes=None if size is None else ceil_units(size),
        log_prompts=block.log_prompts or None,
    )
    return limits if limits.model_fields_set else None


def number(thousandths: int) -> int | float:
    """Thousandths as Ray counts: 2000 -> 2, 500 -> 0.5."""
    return thousandths // 1000 if thousandths % 1000 == 0 else thousandths / 1000


def _autoscaling(scaling: Autoscaling, ongoing: int) -> dict[str, Any]:
    policy = scaling.policy
    return without_none(
        {
            "min_replicas": 1 if scaling.min_replicas is None else scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "initial_replicas": scaling.initial_replicas,
            "target_ongoing_requests": scaling.target_ongoing_requests or max(1, ongoing // 2),
            "upscale_delay_s": scaling.upscale_delay_seconds,
            "downscale_delay_s": scaling.downscale_delay_seconds,
            "downscale_to_zero_delay_s": scaling.downscale_to_zero_delay_seconds,
            "upscaling_factor": scaling.upscale_factor,
            "downscaling_factor": scaling.downscale_factor,
            "look_back_period_s": scaling.look_back_period_seconds,
            "metrics_interval_s": scaling.metrics_interval_seconds,
            "aggregation_function": scaling.aggregation.lower() if scaling.aggregation else None,
            "policy": {"policy_function": policy.import_path, "policy_kwargs": policy.args or {}} if policy else None,
        }
    )
