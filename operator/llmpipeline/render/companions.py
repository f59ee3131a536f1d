"""The companion objects of a RayService, each if the spec asks for it: budget, policies, monitor, route, ingress."""

from pydantic.alias_generators import to_camel

from llmpipeline import names
from llmpipeline.api.companions import Gateway, PodMonitor, PrometheusRule
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.kuberay.conventions import LABEL_NODE_TYPE, METRICS_PORT_NAME, serve_service
from llmpipeline.monitoring import objectives, scraping
from llmpipeline.names import Manifest, without_none
from llmpipeline.plan.plan import Plan
from llmpipeline.render.metadata import metadata
from llmpipeline.render.network_policy import network_policies
from llmpipeline.render.platform import Platform


def companions(pipeline: LLMPipeline, plan: Plan, platform: Platform) -> list[Manifest]:
    """The manifests, which are applied before the RayService: a policy is there before its Pods."""
    network, monitoring = pipeline.spec.network, pipeline.spec.monitoring
    made = network_policies(pipeline, platform)
    if least := _least_workers(pipeline, plan):
        made.append(_budget(pipeline, least))
    if monitoring and monitoring.pod_monitor:
        made.append(_pod_monitor(pipeline, monitoring.pod_monitor))
    if monitoring and monitoring.prometheus_rule:
        made += _prometheus_rule(pipeline, monitoring.prometheus_rule)
    if network and network.http_route:
        made.append(_http_route(pipeline))
    if network and network.ingress:
        made.append(_ingress(pipeline))
    return made


def _least_workers(pipeline: LLMPipeline, plan: Plan) -> int:
    """Workers that drains must leave: as the user says, else all but one where one can go while others answer."""
    if pipeline.spec.disruption:
        return pipeline.spec.disruption.min_available_workers
    return max(0, plan.fewest_workers - 1)


def _budget(pipeline: LLMPipeline, least: int) -> Manifest:
    """The budget of the workers.

    An integer: Kubernetes takes percentages only of what has a scale subresource, and a RayCluster has none. Workers
    that are not ready serve nobody, so they never hold up the drain of a node.
    """
    selector = {names.LABEL_PIPELINE: pipeline.metadata.name, LABEL_NODE_TYPE: "worker"}
    spec = {
        "minAvailable": least,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": selector},
    }
    return _manifest("policy/v1", "PodDisruptionBudget", pipeline, spec)


def _pod_monitor(pipeline: LLMPipeline, monitor: PodMonitor) -> Manifest:
    relabelings = {
        "relabelings": [_camel(it) for it in scraping.target_relabelings()],
        "metricRelabelings": [_camel(it) for it in scraping.series_relabelings()],
    }
    endpoint = {"port": METRICS_PORT_NAME, "interval": f"{monitor.interval_seconds}s", **relabelings}
    spec = {
        "selector": {"matchLabels": {names.LABEL_PIPELINE: pipeline.metadata.name}},
        "podMetricsEndpoints": [endpoint],
    }
    return _manifest("monitoring.coreos.com/v1", "PodMonitor", pipeline, spec, monitor.labels)


def _camel(relabeling: Manifest) -> Manifest:
    """A relabeling of Prometheus in the Prometheus operator's words."""
    return {to_camel(name): value for name, value in relabeling.items()}


def _prometheus_rule(pipeline: LLMPipeline, rule: PrometheusRule) -> list[Manifest]:
    groups = objectives.groups(pipeline)
    spec: Manifest = {"groups": groups}
    return [_manifest("monitoring.coreos.com/v1", "PrometheusRule", pipeline, spec, rule.labels)] if groups else []


def _http_route(pipeline: LLMPipeline) -> Manifest:
    assert pipeline.spec.network
    assert pipeline.spec.network.http_route
    route = pipeline.spec.network.http_route
    spec: Manifest = {"parentRefs": [_parent(route.gateway)]}
    if route.hostnames:
        spec["hostnames"] = list(route.hostnames)
    spec["rules"] = [{"backendRefs": [{"name": serve_service(pipeline.metadata.name), "port": names.SERVE_PORT}]}]
    return _manifest(names.GATEWAY_VERSION, names.ROUTE_KIND, pipeline, spec)


def _parent(gateway: Gateway) -> Manifest:
    parent = {"name": gateway.name, "namespace": gateway.namespace, "sectionName": gateway.section_name}
    return without_none(parent)


def _ingress(pipeline: LLMPipeline) -> Manifest:
    assert pipeline.spec.network
    assert pipeline.spec.network.ingress
    ingress = pipeline.spec.network.ingress
    backend = {"service": {"name": serve_service(pipeline.metadata.name), "port": {"number": names.SERVE_PORT}}}
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


def _manifest(
    api_version: str, kind: str, pipeline: LLMPipeline, spec: Manifest, labels: dict[str, str] | None = None
) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata(pipeline, labels), "spec": spec}
