"""What holds if the resource does not say: the numbers that the plan fills in, and that descriptions state.

Defaults of the bundled apps are in `llmpipeline_serve.contract`; those of Ray and KubeRay are theirs. A contract test
compares every "Default ..." of the schema with what happens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

GIB: Final = 1024**3
MIB: Final = 1024**2

# A replica.
CPU_MILLI: Final = 1000
# The share of a GPU's memory that an engine takes: vLLM's own would be 92 with vLLM 0.29.
GPU_MEMORY_PERCENT: Final = 90

# How long in-flight requests may go on when their replica or Pod is asked to stop: a stream of two minutes.
DRAIN_SECONDS: Final = 120
# The head Pod of a Ray cluster that is deleted takes the whole time, so it has a bound.
LONGEST_DRAIN_SECONDS: Final = 3600
# A node's drain begins with the search for a place for other replicas, and the Pod ends after it.
DRAIN_NOTICE_SECONDS: Final = 30
DRAIN_END_SECONDS: Final = 15

# What Ray's autoscaler takes in the head Pod.
AUTOSCALER_CPU_MILLI: Final = 100
AUTOSCALER_MEMORY: Final = GIB // 2

# The queue of a deployment: so many for each request that can be in flight, and at least so many.
QUEUE_PER_ONGOING: Final = 4
LEAST_QUEUE: Final = 100

# Pods: the head, those of CPUs alone, and for each GPU.
HEAD_CPU_MILLI: Final = 2000
HEAD_MEMORY: Final = 8 * GIB
CPU_POD_MILLI: Final = 2000
CPU_POD_MEMORY: Final = 4 * GIB
CPU_MILLI_PER_GPU: Final = 4000
MEMORY_PER_GPU: Final = 24 * GIB


@dataclass(frozen=True, slots=True)
class OngoingRequests:
    """Most in-flight requests per replica (maxOngoingRequests), by what the deployment does.

    They are always rendered: Ray's own defaults for LLM deployments are 10^9, and never scale up.
    """

    custom: int = 5  # Ray's own for a deployment
    openai_model: int = 64
    openai_ingress: int = 256
    generate: int = 64
    graph_ingress: int = 256
    # A request in flight only waits for another app.
    traffic_split: int = 1000
    # By kind of node; models of Transformers work on up to eight texts at once, and as many again may wait.
    nodes: Mapping[str, int] = field(default_factory=lambda: {"generate": 64, "http": 64, "preprocess": 32})
    other_nodes: int = 16

    @property
    def summary(self) -> str:
        """All of them in a phrase."""
        nodes = sorted({*self.nodes.values(), self.other_nodes})
        return (
            f"{self.openai_model} for openai models and {self.openai_ingress} for their ingress, {self.generate} for "
            f"generate, {self.graph_ingress} for the ingress of a graph and {nodes[0]} to {nodes[-1]} for its nodes, "
            f"twice maxBatchSize for batch, {self.traffic_split} for trafficSplit, {self.custom} for others"
        )

    def node(self, kind: str) -> int:
        """Of a node of a graph."""
        return self.nodes.get(kind, self.other_nodes)


ONGOING_REQUESTS: Final = OngoingRequests()
