"""Whether in-flight requests get the time that they are promised before their Pod ends."""

from collections.abc import Iterator

from llmpipeline.api.base import parts
from llmpipeline.api.deployment import GracefulShutdown
from llmpipeline.api.pipeline import Spec
from llmpipeline.problems import Problem


def problems(spec: Spec) -> Iterator[Problem]:
    """The deployments that ask for more time than their Pods have."""
    for block in parts(spec, GracefulShutdown, ("spec",)):
        seconds = block.value.timeout_seconds
        if seconds is not None and seconds > spec.drain_seconds:
            message = f"is above spec.drainSeconds, which is {spec.drain_seconds}: the Pod would end before"
            yield Problem((*block.at, "timeoutSeconds"), message, f"raise spec.drainSeconds to {seconds}, or lower it")
