"""How long a Pod that is asked to stop has for its in-flight requests: every number of it, from `spec.drainSeconds`.

On SIGTERM Ray marks its node as draining. Ray Serve then starts other replicas elsewhere, and stops those of the node
when the others run, or at last so long before the drain ends that their requests can finish. So the drain is longer
than a replica's own time, and the Pod's grace period is longer than the drain. A node that is done ends early. Source:
`Node._drain_node_before_shutdown` and `migrate_replicas_on_draining_nodes` of Ray 2.60.

To mark its node, a worker asks the head, by the name of the head's Service. After 30 minutes without a request its
connection may be closed, and when KubeRay deletes a whole Ray cluster, that name may be gone as soon as the Pods are
asked to stop. A worker that has to connect again then fails, drains nothing, and ends in the middle of its requests
(docs/adr/0028-one-number-for-drains.md). So the connection is never closed.

The head gets as much: Ray Serve's controller, which stops the replicas of a cluster that is deleted, runs there. So it
is never done early.
"""

from typing import Final

from llmpipeline.api.defaults import DRAIN_END_SECONDS, DRAIN_NOTICE_SECONDS

_DRAIN: Final = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
# In milliseconds; gRPC takes its largest 32-bit number for "never".
_CONNECTED: Final = {"RAY_grpc_client_idle_timeout_ms": str(2**31 - 1)}


def drain_variables(drain_seconds: int) -> dict[str, str]:
    """How long Ray drains a node, and what it needs to begin. Its default is 30 s, whatever the grace period."""
    return {_DRAIN: str(drain_seconds + DRAIN_NOTICE_SECONDS), **_CONNECTED}


def pod_grace_seconds(drain_seconds: int) -> int:
    """The Pod's terminationGracePeriodSeconds."""
    return drain_seconds + DRAIN_NOTICE_SECONDS + DRAIN_END_SECONDS
