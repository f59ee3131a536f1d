"""The NetworkPolicies that isolate the Ray Pods: they let in and out what a RayService needs to get ready."""

from typing import Final

from llmpipeline import names
from llmpipeline.api.companions import Destination, NetworkPolicy, Peer
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.kuberay.conventions import DASHBOARD_PORT, LABEL_NODE_TYPE, METRICS_PORT, OPERATOR_LABELS
from llmpipeline.names import Manifest
from llmpipeline.render.metadata import metadata
from llmpipeline.render.platform import Platform

_DNS: Final = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
# Of the Service `kubernetes`, and of most API servers behind it: policies see one or the other.
_API_SERVER_PORTS: Final = (443, 6443)
_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"


def network_policies(pipeline: LLMPipeline, platform: Platform) -> list[Manifest]:
    """The policies: one for all Pods, and with `egress: Closed` one more for the head, where Ray's autoscaler runs."""
    network = pipeline.spec.network
    if not (network and network.policy):
        return []
    policy = network.policy
    closed = policy.egress == "Closed"
    spec: Manifest = {
        "podSelector": {"matchLabels": _own(pipeline)},
        "policyTypes": ["Ingress", "Egress"] if closed else ["Ingress"],
        "ingress": _ingress(pipeline, policy, platform),
    }
    if closed:
        spec["egress"] = _egress(pipeline, policy)
    policies = [_manifest(pipeline, spec)]
    if closed:
        policies.append(_of_the_autoscaler(pipeline))
    return policies


def _ingress(pipeline: LLMPipeline, policy: NetworkPolicy, platform: Platform) -> list[Manifest]:
    where = {_NAMESPACE_NAME: platform.kuberay_namespace}
    kuberay = {"namespaceSelector": _selector(where), "podSelector": {"matchLabels": OPERATOR_LABELS}}
    serving: Manifest = {"ports": _tcp(names.SERVE_PORT)}
    if policy.serve_from:
        serving = {"from": [_peer(peer) for peer in policy.serve_from], **serving}
    rules = [
        {"from": [{"podSelector": {"matchLabels": _own(pipeline)}}]},
        {"from": [kuberay], "ports": _tcp(DASHBOARD_PORT, names.SERVE_PORT)},
        serving,
    ]
    monitoring = pipeline.spec.monitoring
    if monitoring and monitoring.pod_monitor:
        rules.append({"from": [{"namespaceSelector": {}}], "ports": _tcp(METRICS_PORT)})
    return rules


def _egress(pipeline: LLMPipeline, policy: NetworkPolicy) -> list[Manifest]:
    return [
        {"to": [{"podSelector": {"matchLabels": _own(pipeline)}}]},
        {"ports": list(_DNS)},
        *(_destination(item) for item in policy.egress_to),
    ]


def _of_the_autoscaler(pipeline: LLMPipeline) -> Manifest:
    """The head alone may reach the API server, whose address nobody can know beforehand."""
    spec = {
        "podSelector": {"matchLabels": {**_own(pipeline), LABEL_NODE_TYPE: "head"}},
        "policyTypes": ["Egress"],
        "egress": [{"ports": _tcp(*_API_SERVER_PORTS)}],
    }
    return _manifest(pipeline, spec, names.head_policy(pipeline.metadata.name))


def _peer(peer: Peer) -> Manifest:
    selectors: Manifest = {}
    if peer.namespace_labels is not None:
        selectors["namespaceSelector"] = _selector(peer.namespace_labels)
    if peer.pod_labels is not None:
        selectors["podSelector"] = _selector(peer.pod_labels)
    return selectors


def _destination(item: Destination) -> Manifest:
    rule: Manifest = {"to": [{"ipBlock": {"cidr": item.cidr}}]}
    return rule | ({"ports": _tcp(*item.ports)} if item.ports else {})


def _selector(labels: dict[str, str]) -> Manifest:
    return {"matchLabels": dict(labels)} if labels else {}


def _own(pipeline: LLMPipeline) -> dict[str, str]:
    return {names.LABEL_PIPELINE: pipeline.metadata.name}


def _tcp(*ports: int) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _manifest(pipeline: LLMPipeline, spec: Manifest, name: str = "") -> Manifest:
    described = metadata(pipeline)
    described["name"] = name or described["name"]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": described, "spec": spec}
