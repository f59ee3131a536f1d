"""Who reaches a Ray Pod through the rendered policies, read as Kubernetes defines them."""

from typing import Any

import pytest

from llmpipeline import desired
from llmpipeline.desired import Desired
from llmpipeline.names import Manifest
from llmpipeline.render.platform import Platform
from support.pipelines import pipeline

OWN = ("team", {"serving.llmpipeline.dev/pipeline": "a"})
NEIGHBOUR = ("team", {"serving.llmpipeline.dev/pipeline": "a-head"})
KUBERAY = ("ray-system", {"app.kubernetes.io/name": "kuberay-operator"})
# Anybody may wear KubeRay's label in a namespace of their own.
DISGUISED = ("evil", {"app.kubernetes.io/name": "kuberay-operator"})
NEAR_KUBERAY = ("ray-system", {"app.kubernetes.io/name": "other"})
GATEWAY = ("ingress-nginx", {})
ALL_PORTS = frozenset({6379, 8000, 8080, 8265, 10001, 30000})


def policies(policy: Manifest) -> list[Manifest]:
    document = pipeline(name="a", namespace="team", network={"policy": policy})
    compiled = desired.compile(document, Platform(kuberay_namespace="ray-system"))
    assert isinstance(compiled, Desired)
    return [item for item in compiled.companions if item["kind"] == "NetworkPolicy"]


def reached(policy: Manifest, caller: tuple[str, dict[str, str]]) -> set[int]:
    """The ports of a Ray Pod that a Pod with these labels in this namespace reaches."""
    (made,) = policies(policy)
    assert made["spec"]["podSelector"] == {"matchLabels": {"serving.llmpipeline.dev/pipeline": "a"}}
    assert "Ingress" in made["spec"]["policyTypes"]
    found: set[int] = set()
    for rule in made["spec"]["ingress"]:
        if "from" not in rule or any(_is_from(peer, *caller) for peer in rule["from"]):
            found |= {port["port"] for port in rule["ports"]} if "ports" in rule else ALL_PORTS
    return found


def _is_from(peer: dict[str, Any], namespace: str, labels: dict[str, str]) -> bool:
    if "namespaceSelector" in peer:
        if not _selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace}):
            return False
    elif namespace != "team":  # a peer without a namespace is one of the policy's own
        return False
    return _selects(peer.get("podSelector", {}), labels)


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


@pytest.mark.parametrize(
    ("caller", "ports"),
    [
        (OWN, ALL_PORTS),
        (KUBERAY, {8265, 8000}),
        (GATEWAY, {8000}),
        (DISGUISED, set()),
        (NEAR_KUBERAY, set()),
        (NEIGHBOUR, set()),
        (("evil", OWN[1]), set()),
    ],
)
def test_who_reaches_what(caller: tuple[str, dict[str, str]], ports: set[int]) -> None:
    serve_from = [{"name": "gateway", "namespaceLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}]
    assert reached({"serveFrom": serve_from}, caller) == ports


def test_without_serve_from_everybody_reaches_the_serving_port_alone() -> None:
    assert reached({}, ("anywhere", {})) == {8000}
