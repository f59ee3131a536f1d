"""Which nodes a worker Pod may run on: those with its accelerator, and spot nodes where asked."""

from typing import Any, Final

from llmpipeline.plan.capacity.accelerators import GKE_TOPOLOGY_LABEL, AcceleratorKind

Terms = list[list[dict[str, Any]]]

# Each cloud's label of spot nodes. Sources: the documentation of GKE, Karpenter and AKS.
_SPOT: Final = (
    ("cloud.google.com/gke-spot", "true"),
    ("karpenter.sh/capacity-type", "spot"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
)
# And the taints that two of them put on these.
_SPOT_TAINTS: Final = (("cloud.google.com/gke-spot", "true"), ("kubernetes.azure.com/scalesetpriority", "spot"))


def affinity(kind: AcceleratorKind | None, *, spot: bool) -> dict[str, Any] | None:
    """The node affinity; None where any node will do. Of its terms one has to hold, each of them whole."""
    terms: Terms = [[]]
    if kind:
        labels = kind.facts.labels.items()
        topology = [_is(GKE_TOPOLOGY_LABEL, (kind.topology,))] if kind.topology else []
        terms = [[_is(label, values), *topology] for label, values in labels]
    if spot:
        terms = [[*term, _is(label, (value,))] for term in terms for label, value in _SPOT]
    if terms == [[]]:
        return None
    selector = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}


def tolerations(kind: AcceleratorKind | None, *, spot: bool) -> list[dict[str, Any]]:
    """The taints that such nodes commonly have."""
    tolerated: list[dict[str, Any]] = []
    if kind:
        tolerated.append({"key": kind.facts.resource, "operator": "Exists", "effect": "NoSchedule"})
    if spot:
        tolerated += [
            {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"} for key, value in _SPOT_TAINTS
        ]
    return tolerated


def _is(label: str, values: tuple[str | None, ...]) -> dict[str, Any]:
    return {"key": label, "operator": "In", "values": list(values)}
