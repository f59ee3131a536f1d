"""What is made around the RayService: how it is upgraded, kept from disruption, reached, closed off and measured."""

from typing import Annotated, Literal

from pydantic import Field

from llmpipeline.api.base import Model, Rule, named_list
from llmpipeline.api.cidr import is_cidr
from llmpipeline.api.deployment import Count, PositiveCount, PositiveSeconds, Seconds
from llmpipeline.api.name_types import ObjectName
from llmpipeline.api.run_code import run_code

Percent = Annotated[int, Field(ge=1, le=100)]
Labels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)]
HostName = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")]
Name = Annotated[str, Field(min_length=1, max_length=253)]


class Incremental(Model):
    """How traffic moves to a new cluster step by step, by a Gateway of KubeRay's making."""

    rules = (
        Rule(
            cel="self.stepSizePercent <= self.maxSurgePercent",
            message="stepSizePercent must not be above maxSurgePercent",
            holds=lambda step: step.step_size_percent <= step.max_surge_percent,
            at=("stepSizePercent",),
        ),
    )

    gateway_class_name: Name = Field(description="The GatewayClass, like istio.")
    step_size_percent: Percent = Field(default=10, description="Percentage of the requests that moves in one step.")
    interval_seconds: PositiveSeconds = Field(default=30, description="Time between two steps.")
    max_surge_percent: Percent = Field(
        default=100, description="Percentage of its capacity that the new cluster may use while the old one still runs."
    )


class Upgrade(Model):
    """What happens when an update needs a new Ray cluster."""

    rules = (
        Rule(
            cel="(self.strategy == 'Incremental') == has(self.incremental)",
            message="strategy Incremental and the settings incremental go together",
            holds=lambda upgrade: (upgrade.strategy == "Incremental") == (upgrade.incremental is not None),
            at=("strategy",),
        ),
    )

    strategy: Literal["NewCluster", "Incremental", "None"] = Field(
        default="NewCluster",
        description="NewCluster: a second Ray cluster starts, then all requests move to it. Incremental: requests "
        "and GPUs move step by step. None: such an update is not carried out.",
    )
    incremental: Incremental | None = Field(default=None, description="The steps, with strategy Incremental.")
    deletion_delay_seconds: Seconds | None = Field(
        default=None, description="How long the old cluster is kept after the switch. Default 60."
    )


class Disruption(Model):
    """What drains and node upgrades must leave running (a PodDisruptionBudget)."""

    min_available_workers: Count = Field(
        description="Worker Pods that must stay available. If it is at least the minimum number of workers, no node "
        "can be drained. 0: no PodDisruptionBudget."
    )


class Peer(Model):
    """Who may reach the serving port: Pods by labels, in namespaces by labels."""

    rules = (
        Rule(
            cel="has(self.namespaceLabels) || has(self.podLabels)",
            message="give namespaceLabels, podLabels or both",
            holds=lambda peer: peer.namespace_labels is not None or peer.pod_labels is not None,
        ),
    )

    name: ObjectName = Field(description="A name for it, unique in the list.")
    namespace_labels: Labels | None = Field(
        default=None, description="Labels of the namespaces. Default: only the pipeline's own namespace."
    )
    pod_labels: Labels | None = Field(
        default=None, description="Labels of the Pods. Default: all Pods of the namespaces."
    )


class Destination(Model):
    """Where the Ray Pods may connect to."""

    rules = (
        Rule(
            cel="isCIDR(self.cidr)",
            message="not an IP address range; write it like 10.0.0.0/8 or 2001:db8::/32",
            holds=lambda destination: is_cidr(destination.cidr),
            at=("cidr",),
        ),
    )

    name: ObjectName = Field(description="A name for it, unique in the list.")
    cidr: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", max_length=64)] = Field(
        description="The addresses, like 0.0.0.0/0 or 10.0.0.0/8."
    )
    ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(max_length=16)] = Field(
        default=(), description="TCP ports, like 443. Default: all."
    )


class NetworkPolicy(Model):
    """Closes the Ray Pods off. KubeRay, the pipeline's own Pods, DNS and the serving port stay open."""

    serve_from: tuple[Peer, ...] = named_list("Who may reach the serving port. Default: everybody.", most=16)
    egress: Literal["Open", "Closed"] = Field(
        default="Open",
        description="Open: the Pods may connect to everything. Closed: only to each other, DNS, the API server's "
        "port and egressTo; models cannot be downloaded from elsewhere then.",
    )
    egress_to: tuple[Destination, ...] = named_list("Where the Pods may connect to if egress is Closed.", most=16)


class Gateway(Model):
    """The Gateway that a route belongs to."""

    name: Name = Field(description="The Gateway's name.")
    namespace: ObjectName | None = Field(default=None, description="Its namespace. Default: the pipeline's.")
    section_name: Name | None = Field(default=None, description="Its listener. Default: any.")


class HttpRoute(Model):
    """An HTTPRoute of the Gateway API to the serving port."""

    gateway: Gateway = Field(description="The Gateway that it belongs to.")
    hostnames: Annotated[tuple[Annotated[HostName, Field(max_length=253)], ...], Field(max_length=16)] = Field(
        default=(), description="Host names that it answers to. Default: all."
    )


class Ingress(Model):
    """An Ingress to the serving port."""

    class_name: Name | None = Field(default=None, description="The IngressClass. Default: the cluster's default.")
    host: Annotated[HostName, Field(max_length=253)] | None = Field(
        default=None, description="The host name. Default: all."
    )
    tls_secret_name: Name | None = Field(default=None, description="The Secret that holds the host's certificate.")
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=32)] | None = Field(
        default=None,
        description="Annotations for the ingress controller.",
        # Some ingress controllers run code from them.
        json_schema_extra=run_code("network.ingress.annotations"),
    )


class Network(Model):
    """How the pipeline is reached, and by whom."""

    policy: NetworkPolicy | None = Field(
        default=None, description="Isolate the Ray Pods by a NetworkPolicy. Default: no policy."
    )
    http_route: HttpRoute | None = Field(default=None, description="Create an HTTPRoute of the Gateway API.")
    ingress: Ingress | None = Field(default=None, description="Create an Ingress.")


class PodMonitor(Model):
    """Has the Prometheus operator scrape the Ray Pods."""

    interval_seconds: PositiveSeconds = Field(default=30, description="Time between two scrapes.")
    labels: Labels | None = Field(
        default=None,
        description="Labels by which the Prometheus resource selects PodMonitors, like {release: prometheus}.",
    )


class Tracing(Model):
    """Has the Ray Pods send traces to an OpenTelemetry collector."""

    rules = (
        Rule(
            cel="!self.endpoint.matches('/v1/traces/?$')",
            message="give the base URL: /v1/traces is added to it",
            holds=lambda tracing: not tracing.endpoint.endswith(("/v1/traces", "/v1/traces/")),
            at=("endpoint",),
        ),
    )

    # No `$`: the kubelet replaces $(NAME) in a variable's value, and the URL would carry what a Secret holds.
    endpoint: Annotated[
        str, Field(pattern=r"^https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$")
    ] = Field(
        max_length=512,
        description="Base URL of a receiver of OTLP over HTTP, like http://otel-collector.monitoring:4318.",
    )
    sampling_percent: Percent = Field(
        default=10,
        description="Percentage of the requests that are traced. A request whose traceparent header says whether it "
        "is sampled is not counted: the header decides.",
    )


class PrometheusRule(Model):
    """Has the Prometheus operator load alert rules for the objectives of the apps."""

    labels: Labels | None = Field(
        default=None,
        description="Labels by which the Prometheus resource selects PrometheusRules, like {release: prometheus}.",
    )


class Monitoring(Model):
    """How the pipeline is monitored."""

    pod_monitor: PodMonitor | None = Field(default=None, description="Create a PodMonitor.")
    prometheus_rule: PrometheusRule | None = Field(
        default=None, description="Create a PrometheusRule if an app has objectives."
    )
    tracing: Tracing | None = Field(
        default=None, description="Send traces of the requests to an OpenTelemetry collector."
    )


class Scale(Model):
    """The one deployment whose replicas `kubectl scale`, an HPA or KEDA set: the resource's scale subresource."""

    rules = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="minReplicas must not be above maxReplicas",
            holds=lambda scale: scale.min_replicas <= scale.max_replicas,
            at=("minReplicas",),
        ),
        Rule(
            cel="self.replicas >= self.minReplicas && self.replicas <= self.maxReplicas",
            message="replicas must be between minReplicas and maxReplicas, which the worker groups are made for",
            holds=lambda scale: scale.min_replicas <= scale.replicas <= scale.max_replicas,
            at=("replicas",),
        ),
    )

    app: ObjectName = Field(description="The app.")
    deployment: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="Which of its deployments: the name of a model, a node or a custom deployment. Required if the "
        "app has several.",
    )
    replicas: PositiveCount = Field(
        default=1, description="Number of replicas. kubectl scale, an HPA and KEDA write it."
    )
    min_replicas: PositiveCount = Field(default=1, description="Minimum number of replicas that it is scaled to.")
    max_replicas: PositiveCount = Field(
        description="Maximum number of replicas that it is scaled to. The derived worker groups have room for it."
    )
