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
        feature: What needs it, mostly a part of the spec; empty where the operator cannot do without.
        cluster_wide: Whether it is about something that no namespace has, even where one namespace alone is watched.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    feature: str = ""
    cluster_wide: bool = False

    @property
    def target(self) -> str:
        """The resource as kubectl names it: `rayservices.ray.io`."""
        plural, _, subresource = self.resource.partition("/")
        return f"{plural}.{self.group}{f'/{subresource}' if subresource else ''}"


_WRITE: Final = ("get", "create", "patch", "delete")

# Creating by server-side apply is a patch that needs `create` too.
RIGHTS: Final = (
    Right(names.GROUP, names.PLURAL, ("get", "list", "watch")),
    Right(names.GROUP, f"{names.PLURAL}/status", ("patch",)),
    Right(names.RAY_GROUP, names.RAY_SERVICE_PLURAL, ("get", "list", "watch", "create", "patch")),
    # kopf's; without it the log has errors for a minute, and a RayService CRD that comes later is not watched.
    Right(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        ("list", "watch"),
        "noticing a KubeRay installed after the operator",
        cluster_wide=True,
    ),
    Right(
        names.RAY_GROUP,
        "rayclusters",
        ("get", "patch"),
        "worker bounds and tolerations of a live service, and why Pods do not start",
    ),
    Right("policy", "poddisruptionbudgets", _WRITE, "disruption"),
    Right("networking.k8s.io", "networkpolicies", _WRITE, "network.policy"),
    Right("networking.k8s.io", "ingresses", _WRITE, "network.ingress"),
    Right("gateway.networking.k8s.io", "httproutes", _WRITE, "network.httpRoute"),
    Right("monitoring.coreos.com", "podmonitors", _WRITE, "monitoring.podMonitor"),
)
