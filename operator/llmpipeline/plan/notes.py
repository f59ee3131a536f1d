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
