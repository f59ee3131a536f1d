"""What `spec.monitoring.tracing` gets wrong: traces that cannot leave the Pods."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from llmpipeline.api.pipeline import Spec
from llmpipeline.problems import Problem


def problems(spec: Spec) -> Iterator[Problem]:
    """An address or a port that is none, and a receiver that the pipeline's own network policy closes off."""
    tracing = spec.monitoring.tracing if spec.monitoring else None
    if not tracing:
        return
    where = ("spec", "monitoring", "tracing", "endpoint")
    try:
        url = urlsplit(tracing.endpoint)
        _ = url.port
    except ValueError:
        message = "the host or the port is not valid"
        yield Problem(where, message, "give an IPv6 address in the brackets, and a port from 1 to 65535")
        return
    policy = spec.network.policy if spec.network else None
    # A policy sees addresses and ports of Pods, and this is often the name of a Service: so no more can be known.
    if policy and policy.egress == "Closed" and not policy.egress_to and not _is_loopback(url.hostname or ""):
        message = "network.policy.egress is Closed, so the Ray Pods cannot reach it"
        yield Problem(where, message, "add the receiver's addresses and port to network.policy.egressTo")


def _is_loopback(host: str) -> bool:
    """Whether it is in the Pod itself, like a sidecar."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
