"""Names that KubeRay gives or asks for. Source: KubeRay 1.7, ray-operator/controllers/ray/utils/constant.go."""

from typing import Final

# The first container of a Pod is Ray's; these names are ours, and stand in every podTemplate.
HEAD_CONTAINER: Final = "ray-head"
WORKER_CONTAINER: Final = "ray-worker"

# The init container of workers, which waits for the head.
GCS_CONTAINER: Final = "wait-gcs-ready"

# On Ray Pods: head or worker.
LABEL_NODE_TYPE: Final = "ray.io/node-type"
LABEL_CLUSTER: Final = "ray.io/cluster"
LABEL_GROUP: Final = "ray.io/group"
# `true` on Pods that take requests: the Service selects them by it.
LABEL_SERVES: Final = "ray.io/serve"

# The environment variable of Ray's containers that has the token, from a Secret.
TOKEN_VARIABLE: Final = "RAY_AUTH_TOKEN"

# The port that every Ray Pod has metrics on; KubeRay declares it in the container, by this name. The head has metrics
# of the autoscaler and of the dashboard on two more ports, which nobody declares, so no PodMonitor finds them.
METRICS_PORT_NAME: Final = "metrics"
METRICS_PORT: Final = 8080

# Of Ray's dashboard, on the head Pod.
DASHBOARD_PORT: Final = 8265

# On the operator's Pods.
OPERATOR_LABELS: Final = {"app.kubernetes.io/name": "kuberay-operator"}

# What happens to a RayService whose cluster must change.
NEW_CLUSTER: Final = "NewCluster"
INCREMENTAL: Final = "NewClusterWithIncrementalUpgrade"
NO_UPGRADE: Final = "None"

# It counts Pods in 32 bits.
MOST_PODS: Final = 2**31 - 1

# Of a worker group, what its Go types write though nobody set it. It rejects a priority without the autoscaler, which
# alone looks at it.
NO_PRIORITY: Final = 0
NO_SCALE_STRATEGY: Final[dict[str, str]] = {}


def serve_service(rayservice: str) -> str:
    """The Service of the Pods that take requests."""
    return f"{rayservice}-serve-svc"
