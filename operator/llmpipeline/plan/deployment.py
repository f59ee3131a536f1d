"""The block that every deployment takes, in Ray Serve's terms."""

from typing import Any, Final

from llmpipeline.api.deployment import Autoscaling, Deployment
from llmpipeline.api.quantity import milli, whole
from llmpipeline.plan.types import Bundle

DEFAULT_CPU_MILLI: Final = 1000
# Ray's own default for a deployment.
DEFAULT_ONGOING_REQUESTS: Final = 5


def replicas(block: Deployment) -> tuple[int, int]:
    """Fewest and most replicas."""
    if block.autoscaling:
        fewest = block.autoscaling.min_replicas
        return (1 if fewest is None else fewest, block.autoscaling.max_replicas)
    fixed = 1 if block.replicas is None else block.replicas
    return fixed, fixed


def options(block: Deployment, ongoing: int = DEFAULT_ONGOING_REQUESTS) -> dict[str, Any]:
    """Ray Serve's options of a deployment, resources apart.

    Args:
        block: The user's settings.
        ongoing: Most requests in work per replica where the user does not say. Always rendered, with the autoscaling
            target: Ray's own defaults for LLM deployments are 10^9 each, and never scale up.
    """
    most = block.max_ongoing_requests or ongoing
    given: dict[str, Any] = {"max_ongoing_requests": most, "max_queued_requests": block.max_queued_requests}
    if block.autoscaling:
        given["autoscaling_config"] = _autoscaling(block.autoscaling, most)
    else:
        given["num_replicas"] = replicas(block)[0]
    if block.health_check:
        given["health_check_period_s"] = block.health_check.period_seconds
        given["health_check_timeout_s"] = block.health_check.timeout_seconds
    if block.graceful_shutdown:
        given["graceful_shutdown_wait_loop_s"] = block.graceful_shutdown.wait_loop_seconds
        given["graceful_shutdown_timeout_s"] = block.graceful_shutdown.timeout_seconds
    return _without_none(given)


def actor_options(block: Deployment) -> dict[str, Any]:
    """Ray's options of a replica's actor: what it takes."""
    share = bundle(block)
    given: dict[str, Any] = {"num_cpus": number(share.cpu_milli)}
    if share.gpus:
        given["num_gpus"] = share.gpus
    if share.memory:
        given["memory"] = share.memory
    return given


def bundle(block: Deployment) -> Bundle:
    """What one replica takes."""
    wanted = block.resources
    if not wanted:
        return Bundle(DEFAULT_CPU_MILLI)
    return Bundle(
        cpu_milli=DEFAULT_CPU_MILLI if wanted.cpus is None else milli(wanted.cpus),
        gpus=wanted.gpus or 0,
        memory=0 if wanted.memory is None else whole(wanted.memory),
    )


def number(thousandths: int) -> int | float:
    """Thousandths as Ray counts: 2000 -> 2, 500 -> 0.5."""
    return thousandths // 1000 if thousandths % 1000 == 0 else thousandths / 1000


def _autoscaling(scaling: Autoscaling, ongoing: int) -> dict[str, Any]:
    return _without_none(
        {
            "min_replicas": 1 if scaling.min_replicas is None else scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "target_ongoing_requests": scaling.target_ongoing_requests or max(1, ongoing // 2),
            "upscale_delay_s": scaling.upscale_delay_seconds,
            "downscale_delay_s": scaling.downscale_delay_seconds,
        }
    )


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}
