"""What is allowed, and what a user should know of it all the same."""

from collections.abc import Iterator, Sequence

from llmpipeline.api.pipeline import Spec
from llmpipeline.kuberay.ray_versions import NEWEST_TESTED, minor
from llmpipeline.plan.capacity.demand import Demand, Group
from llmpipeline.plan.capacity.surge import Surge
from llmpipeline.plan.slips import slips
from llmpipeline.plan.weights import too_large


def notes(spec: Spec, groups: Sequence[Group], updates: Surge) -> Iterator[str]:
    """One sentence each."""
    if minor(spec.ray.version) > NEWEST_TESTED:
        newest = ".".join(map(str, NEWEST_TESTED))
        yield f"Ray {spec.ray.version} is newer than {newest}, the newest that llmpipeline was tested with."
    fewest = sum(group.fewest_pods for group in groups)
    least = spec.disruption.min_available_workers if spec.disruption else 0
    if least and least >= fewest:
        yield (
            f"disruption.minAvailableWorkers is {least} and there may be no more than {fewest} worker Pods: then none "
            "of their nodes can be drained."
        )
    yield from _updates(updates)
    yield from _tracing(spec)
    yield from slips(spec)
    yield from too_large(spec)


def _updates(updates: Surge) -> Iterator[str]:
    more = "Raise maxReplicas of a worker group"
    if updates.stops_first:
        alone = any(item.replicas.minimum <= 1 for item in updates.stops_first)
        gap = ", and if there is only one, nothing answers until the new one runs" if alone else ""
        yield (
            f"The worker groups have no room for one more replica of {_named(updates.stops_first)}: an update stops "
            f"an old replica before it starts the new one{gap}. {more}, or set updateOrder: StartFirst to have the "
            "update wait for room."
        )
    if updates.too_old:
        yield (
            f"updateOrder is StartFirst for {_named(updates.too_old)}, which needs Ray 2.60 or newer: with this Ray an "
            "update stops an old replica first."
        )
    if updates.waits:
        yield (
            f"updateOrder is StartFirst, and the worker groups have no room for one more replica of "
            f"{_named(updates.waits)}: an update waits, and the old replicas answer, until there is room. {more}, or "
            "set updateOrder: StopFirst."
        )


def _named(demands: Sequence[Demand]) -> str:
    return ", ".join(demand.where for demand in demands)


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
