"""What is made around the RayService, each where the spec asks for it: budget, policies, monitor, route, ingress."""

from typing import Any, Final

from llmpipeline import names
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.api.surroundings import Gateway, PodMonitor
from llmpipeline.plan.types import Plan
from llmpipeline.render.metadata import metadata
from llmpipeline.render.network_policy import network_policies

Manifest = dict[str, Any]

# KubeRay's names of the ports that its Pods have metrics on: Ray's own, the autoscaler's and the dashboard's.
_METRICS_PORTS: Final = ("metrics", "as-metrics", "dash-metrics")


def surroundings(pipeline: LLMPipeline, plan: Plan) -> list[Manifest]:
    """The manifests, which are applied before the RayService: a policy is there before its Pods."""
    network, monitoring = pipeline.spec.network, pipeline.spec.monitoring
    made = network_policies(pipeline, plan)
    if pipeline.spec.disruption:
        made.append(_budget(pipeline, pipeline.spec.disruption.min_available_workers))
    if monitoring and monitoring.pod_monitor:
        made.append(_pod_monitor(pipeline, monitoring.pod_monitor))
    if network and network.http_route:
        made.append(_http_route(pipeline))
    if network and network.ingress:
        made.append(_ingress(pipeline))
    return made


def _budget(pipeline: LLMPipeline, least: int) -> Manifest:
    """An integer, for Kubernetes takes percentages only of what has a scale subresource, and a RayCluster has none."""
    selector = {names.LABEL_PIPELINE: pipeline.metadata.name, names.LABEL_NODE_TYPE: "worker"}
    spec = {"minAvailable": least, "selector": {"matchLabels": selector}}
    return _manifest("policy/v1", "PodDisruptionBudget", pipeline, spec)


def _pod_monitor(pipeline: LLMPipeline, monitor: PodMonitor) -> Manifest:
    # Ray's own dashboards tell clusters apart by this label.
    relabeling = {"sourceLabels": ["__meta_kubernetes_pod_label_ray_io_cluster"], "targetLabel": "ray_io_cluster"}
    endpoints = [
        {"port": port, "interval": f"{monitor.interval_seconds}s", "relabelings": [relabeling]}
        for port in _METRICS_PORTS
    ]
    spec = {
        "selector": {"matchLabels": {names.LABEL_PIPELINE: pipeline.metadata.name}},
        "podMetricsEndpoints": endpoints,
    }
    return _manifest("monitoring.coreos.com/v1", "PodMonitor", pipeline, spec, monitor.labels)


def _http_route(pipeline: LLMPipeline) -> Manifest:
    assert pipeline.spec.network
    assert pipeline.spec.network.http_route
    route = pipeline.spec.network.http_route
    spec: Manifest = {"parentRefs": [_parent(route.gateway)]}
    if route.hostnames:
        spec["hostnames"] = list(route.hostnames)
    spec["rules"] = [{"backendRefs": [{"name": _service(pipeline), "port": names.SERVE_PORT}]}]
    return _manifest("gateway.networking.k8s.io/v1", "HTTPRoute", pipeline, spec)


def _parent(gateway: Gateway) -> Manifest:
    parent = {"name": gateway.name, "namespace": gateway.namespace, "sectionName": gateway.section_name}
    return {field: value for field, value in parent.items() if value is not None}


def _ingress(pipeline: LLMPipeline) -> Manifest:
    assert pipeline.spec.network
    assert pipeline.spec.network.ingress
    ingress = pipeline.spec.network.ingress
    backend = {"service": {"name": _service(pipeline), "port": {"number": names.SERVE_PORT}}}
    host = {"host": ingress.host} if ingress.host else {}
    spec: Manifest = {"ingressClassName": ingress.class_name} if ingress.class_name else {}
    if ingress.tls_secret_name:
        hosts = {"hosts": [ingress.host]} if ingress.host else {}
        spec["tls"] = [{**hosts, "secretName": ingress.tls_secret_name}]
    spec["rules"] = [{**host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
    manifest = _manifest("networking.k8s.io/v1", "Ingress", pipeline, spec)
    if ingress.annotations:
        manifest["metadata"]["annotations"] = dict(ingress.annotations)
    return manifest


def _service(pipeline: LLMPipeline) -> str:
    """KubeRay's Service of the Pods that take requests."""
    return f"{pipeline.metadata.name}-serve-svc"


def _manifest(
    api_version: str, kind: str, pipeline: LLMPipeline, spec: Manifest, labels: dict[str, str] | None = None
) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata(pipeline, labels), "spec": spec}
