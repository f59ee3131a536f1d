"""What a cluster has around the operator: its role, and CRDs of others."""

from typing import Any, Final

from llmpipeline.rights import RIGHTS

RBAC: Final = "rbac.authorization.k8s.io"


def role_of_rights() -> dict[str, Any]:
    """A role with what `RIGHTS` has, and nothing more."""
    rules = [{"apiGroups": [it.group], "resources": [it.resource], "verbs": list(it.verbs)} for it in RIGHTS]
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "all-the-operator-does"},
        "rules": rules,
    }


def tiny_crd(group: str, kind: str, scope: str) -> dict[str, Any]:
    """A CRD that accepts anything."""
    plural = f"{kind.lower()}es" if kind.endswith("ss") else f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Groups under k8s.io are guarded by this annotation.
        "metadata": {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": scope,
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


OPTIONAL_CRDS: Final = (
    tiny_crd("gateway.networking.k8s.io", "HTTPRoute", "Namespaced"),
    tiny_crd("monitoring.coreos.com", "PodMonitor", "Namespaced"),
    tiny_crd("monitoring.coreos.com", "PrometheusRule", "Namespaced"),
)
