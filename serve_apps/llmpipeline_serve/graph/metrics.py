"""The metrics of a graph's nodes. Serve adds the labels application, deployment and replica."""

from ray.serve.metrics import Counter, Histogram

# From a function of the user's own to a long generation.
_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]


class NodeMetrics:
    """Counts what becomes of each node in each request, and measures those that were asked."""

    def __init__(self) -> None:
        self._requests = Counter(
            "llmpipeline_graph_node_requests",
            "Requests in which a node's turn came, by outcome: ok, skipped, fallback, error, invalid (a wrong request) "
            "or cancelled (another node failed, or nobody waits).",
            ("node", "outcome"),
        )
        self._seconds = Histogram(
            "llmpipeline_graph_node_latency_seconds", "From the call of a node until its result.", _SECONDS, ("node",)
        )

    def __call__(self, node: str, outcome: str, seconds: float) -> None:
        """Note one node of one request."""
        self._requests.inc(tags={"node": node, "outcome": outcome})
        if outcome != "skipped":
            self._seconds.observe(seconds, tags={"node": node})
