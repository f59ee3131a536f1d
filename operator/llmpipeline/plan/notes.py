"""What is allowed, and what a user should know of it all the same."""

from collections.abc import Iterator, Sequence

from llmpipeline.api.pipeline import Spec
from llmpipeline.kuberay.ray_versions import NEWEST_TESTED, minor
from llmpipeline.plan.capacity.demand import Group


def notes(spec: Spec, groups: Sequence[Group]) -> Iterator[str]:
    """One sentence each."""
    if minor(spec.ray.version) > NEWEST_TESTED:
        newest = ".".join(map(str, NEWEST_TESTED))
        yield f"Ray {spec.ray.version} is newer than {newest}, the newest that llmpipeline was tested with."
    fewest = sum(group.replicas.minimum * group.hosts for group in groups)
    if spec.disruption and spec.disruption.min_available_workers >= fewest:
        least = spec.disruption.min_available_workers
        yield (
            f"disruption.minAvailableWorkers is {least} and there may be no more than {fewest} worker Pods: then none "
            "of their nodes can be drained."
        )
    yield from _tracing(spec)


def _tracing(spec: Spec) -> Iterator[str]:
    tracing = spec.monitoring.tracing if spec.monitoring else None
    if tracing and "rayproject/" in spec.ray.image:
        yield (
            f"ray.image is {spec.ray.image}: if it lacks llmpipeline-serve, no replica starts while monitoring.tracing "
            "is set."
        )
    policy = spec.network.policy if spec.network else None
    if tracing and policy and policy.egress == "Closed" and policy.egress_to:
        yield (
            "network.policy.egress is Closed: traces arrive only if network.policy.egressTo has the Pod addresses and "
            f"the container port of {tracing.endpoint}."
        )
