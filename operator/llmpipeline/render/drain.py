"""How long a Pod that is asked to stop has for its in-flight requests: every number of it, from `spec.drainSeconds`.

On SIGTERM Ray marks its node as draining. Ray Serve then starts other replicas elsewhere, and stops those of the node
when the others run, or at last so long before the drain ends that their requests can finish. So the drain is longer
than a replica's own time, and the Pod's grace period is longer than the drain. A node that is done ends early. Source:
`Node._drain_node_before_shutdown` and `migrate_replicas_on_draining_nodes` of Ray 2.60.

The head gets as much: Ray Serve's controller, which stops the replicas of a cluster that is deleted, runs there. So it
is never done early.
"""

from typing import Final

from llmpipeline.api.defaults import DRAIN_END_SECONDS, DRAIN_NOTICE_SECONDS

_DRAIN: Final = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


def drain_variables(drain_seconds: int) -> dict[str, str]:
    """How long Ray drains a node. Its default is 30 s, whatever the Pod's grace period is."""
    return {_DRAIN: str(drain_seconds + DRAIN_NOTICE_SECONDS)}


def pod_grace_seconds(drain_seconds: int) -> int:
    """The Pod's terminationGracePeriodSeconds."""
    return drain_seconds + DRAIN_NOTICE_SECONDS + DRAIN_END_SECONDS
