"""What became of a pipeline: its RayService, its Gateway, and if something is awaited or fails its cluster and Pods."""

from dataclasses import replace
from typing import Final

from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.cluster.ownership import belongs_to, own_raycluster
from llmpipeline.kuberay.gateway import GatewaySeen, gateway_name, gateway_seen, route_name
from llmpipeline.kuberay.pods import PodsSeen, pods_seen
from llmpipeline.kuberay.service import SUSPENSION, Observed, head_fault_of, observe, refusal_of
from llmpipeline.names import GATEWAY_KIND, ROUTE_KIND, Key, Manifest

_FORBIDDEN: Final = 403
# Pods that are read of one Ray cluster, with those of strangers that wear its label. What keeps more than these from
# running has been found among them.
_MOST_PODS: Final = 1000
_MOST_EVENTS: Final = 100


async def look(cluster: Cluster, service: Manifest, *, was_ready: bool) -> Observed:
    """The RayService, the Gateway that it has, and what its RayCluster and Pods say if something is awaited or fails.

    Args:
        cluster: The cluster.
        service: The RayService of the pipeline as read.
        was_ready: The pipeline was ready before. If it was not, it gets ready only with all Pods that it should have.
    """
    observed = observe(service)
    if observed.is_incremental and observed.ready:
        observed = replace(observed, gateway=await _gateway(cluster, service))
    name = observed.looked_at or ("" if was_ready or observed.reason in SUSPENSION else observed.active_cluster)
    if not name:
        return observed
    try:
        raycluster = await own_raycluster(cluster, service, name)
    except RequestRejected as rejected:
        if rejected.status != _FORBIDDEN:
            raise
        return observed
    if not raycluster:
        return observed
    refusal = refusal_of(raycluster)
    try:
        pods, are_all = await _pods(cluster, raycluster)
    except RequestRejected as rejected:
        if rejected.status != _FORBIDDEN:
            raise
        return replace(observed, fault=refusal or head_fault_of(raycluster), are_pods_hidden=True)
    if observed.looked_at:
        fault = refusal or ("" if pods.total else head_fault_of(raycluster))
        return replace(observed, fault=fault, pods=pods)
    # What else other Pods say is of no interest while every app runs.
    is_short = are_all and pods.is_short_of(raycluster)
    return replace(observed, fault=refusal, pods=pods, is_short=True) if is_short else observed


async def _gateway(cluster: Cluster, service: Manifest) -> GatewaySeen | None:
    """The Gateway of an incremental upgrade; None if it may not be read."""
    metadata = service["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    try:
        gateway = await cluster.read(GATEWAY_KIND, Key(namespace, gateway_name(name)))
        route = await cluster.read(ROUTE_KIND, Key(namespace, route_name(name))) if gateway else None
    except RequestRejected as rejected:
        if rejected.status != _FORBIDDEN:
            raise
        return None
    return gateway_seen(name, gateway, route, lambda found: belongs_to(found, metadata["uid"]))


async def _pods(cluster: Cluster, raycluster: Manifest) -> tuple[PodsSeen, bool]:
    """The Pods that the RayCluster controls, and whether these are all.

    With the warnings about one that says nothing itself.
    """
    metadata = raycluster["metadata"]
    pods: list[Manifest] = []
    count = 0
    async for pod in cluster.pods(Key(metadata["namespace"], metadata["name"])):
        count += 1
        if belongs_to(pod, metadata["uid"]):
            pods.append(pod)
        if count >= _MOST_PODS:
            break
    are_all = count < _MOST_PODS
    seen = pods_seen(pods, {})
    if not seen.silent:
        return seen, are_all
    warnings: list[Manifest] = []
    async for warning in cluster.warnings(metadata["namespace"], seen.silent):
        warnings.append(warning)
        if len(warnings) >= _MOST_EVENTS:
            break
    return pods_seen(pods, {seen.silent: warnings}), are_all
