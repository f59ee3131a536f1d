"""What the operator may do in a cluster, and no more: `doctor` asks for these, and the chart's role grants them."""

from dataclasses import dataclass
from typing import Final

from llmpipeline import names


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource, as a rule of an RBAC role says them.

    Attributes:
        group: The API group.
        resource: The plural, with the subresource where it is about one: `llmpipelines/status`.
        verbs: What may be done.
        feature: What needs it, mostly a part of the spec; empty if the operator cannot do without.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    feature: str = ""

    @property
    def target(self) -> str:
        """The resource as kubectl names it: `rayservices.ray.io`."""
        plural, _, subresource = self.resource.partition("/")
        group = f".{self.group}" if self.group else ""
        return f"{plural}{group}{f'/{subresource}' if subresource else ''}"


# list and watch: of metadata by a label, so that a change by hand is repaired.
_WRITE: Final = ("get", "list", "watch", "create", "patch", "delete")

# What the chart leaves out with `readPods: false`.
READ_PODS: Final = (
    Right("", "pods", ("list", "watch"), "why Pods do not start or end"),
    Right("", "events", ("list",), "why a volume cannot be mounted or a probe fails"),
)

# Classes are cluster-scoped, so that a Role of one namespace cannot grant it.
READ_CLASSES: Final = (Right(names.GROUP, names.CLASS_PLURAL, ("get", "list", "watch"), "className, default classes"),)

# Creating by server-side apply is a patch that needs `create` too.
RIGHTS: Final = (
    Right(names.GROUP, names.PLURAL, ("get", "list", "watch")),
    Right(names.GROUP, f"{names.PLURAL}/status", ("patch",)),
    *READ_CLASSES,
    Right(names.RAY_GROUP, names.RAY_SERVICE_PLURAL, ("get", "list", "watch", "create", "patch")),
    Right(
        names.RAY_GROUP,
        "rayclusters",
        ("get", "list", "watch", "patch"),
        "worker bounds and tolerations of a live service, and why Pods cannot be created",
    ),
    Right("policy", "poddisruptionbudgets", _WRITE, "disruption"),
    Right("networking.k8s.io", "networkpolicies", _WRITE, "network.policy"),
    Right("networking.k8s.io", "ingresses", _WRITE, "network.ingress"),
    Right("gateway.networking.k8s.io", "httproutes", _WRITE, "network.httpRoute, upgrade.incremental"),
    Right("gateway.networking.k8s.io", "gateways", ("get",), "upgrade.incremental"),
    Right("monitoring.coreos.com", "podmonitors", _WRITE, "monitoring.podMonitor"),
    Right("monitoring.coreos.com", "prometheusrules", _WRITE, "monitoring.prometheusRule"),
    Right("events.k8s.io", "events", ("create", "patch"), "events on pipelines"),
    *READ_PODS,
)
