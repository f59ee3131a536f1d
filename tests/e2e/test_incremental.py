"""Updates that move requests step by step, through the Gateway that KubeRay makes.

Needs a gateway controller that writes an address into the status of its Gateways, which Pods of the cluster can reach,
and E2E_GATEWAY_CLASS, the name of its GatewayClass.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from support.e2e.installation import Images, note
from support.e2e.kubectl import LLMP, Kube, Manifest, until
from support.e2e.serving import Client, apply_change, clusters, edited, gone, pipeline, ready, summary

pytestmark = pytest.mark.usefixtures("needs_kuberay")

PER_SECOND = 20
# Traefik 3, built with Go 1.26, cuts 3 of 13,855 answers to POST without any change, and none to GET.
CUT_BY_GATEWAYS = 0.001


@pytest.fixture(scope="module")
def gateway_class() -> str:
    name = os.environ.get("E2E_GATEWAY_CLASS", "")
    if not name:
        pytest.skip("there is no gateway controller: set E2E_GATEWAY_CLASS")
    return name


@pytest.fixture(scope="module")
def stepped(kube: Kube, client: Client, images: Images, namespace: str, gateway_class: str) -> Iterator[str]:
    """A pipeline behind a Gateway, which nobody takes at first."""
    steps = {"gatewayClassName": "nobody", "maxSurgePercent": 50, "stepSizePercent": 10, "intervalSeconds": 5}
    hello = {"name": "hello", "hello": {"replicas": 2, "resources": {"cpus": "50m"}}}
    upgrade = {"strategy": "Incremental", "incremental": steps}
    kube.apply(pipeline("stepped", namespace, images.serve, [hello], upgrade=upgrade))
    yield "stepped"
    gone(kube, "stepped", namespace)


def test_a_gateway_that_nobody_takes_is_named(kube: Kube, stepped: str, namespace: str, gateway_class: str) -> None:
    """KubeRay's own Ready is true by then."""
    said = kube.wait_for(stepped, namespace, "Ready", "False", "GatewayNotReady", 300)
    assert "Gateway stepped-gateway of the GatewayClass nobody" in said["message"]
    assert url_of(kube, stepped, namespace) == ""

    def another(spec: Manifest) -> None:
        spec["upgrade"]["incremental"]["gatewayClassName"] = gateway_class

    apply_change(kube, stepped, namespace, another)
    ready(kube, stepped, namespace)


def test_a_new_cluster_takes_requests_step_by_step(kube: Kube, client: Client, stepped: str, namespace: str) -> None:
    (before,) = clusters(kube, namespace, stepped)
    address = f"{until(lambda: url_of(kube, stepped, namespace), 60, 'an address')}/hello"
    with client.load(address, per_second=PER_SECOND) as result:
        assert edited(kube, stepped, namespace, another_size) == "NewCluster"
        said = until(lambda: part_of(kube, stepped, namespace), 300, "requests to move")
        until(lambda: before not in clusters(kube, namespace, stepped), 400, "the old cluster to be gone", 2)
        ready(kube, stepped, namespace)
    note(f"an incremental upgrade: {summary(result)}; the status said: {said}")
    assert sum(result["lost"].values()) <= result["asked"] * CUT_BY_GATEWAYS
    assert kube.get("service", f"{stepped}-serve-svc", namespace) is None, "KubeRay makes it after all"


def test_a_change_is_taken_back_on_the_way(kube: Kube, client: Client, stepped: str, namespace: str) -> None:
    before = clusters(kube, namespace, stepped)
    address = f"{url_of(kube, stepped, namespace)}/hello"
    with client.load(address, per_second=PER_SECOND) as result:
        edited(kube, stepped, namespace, another_size)
        until(lambda: part_of(kube, stepped, namespace), 300, "requests to move")
        edited(kube, stepped, namespace, another_size)
        kube.wait_for(stepped, namespace, "Reconciling", "True", "RollingBack", 60)
        until(lambda: clusters(kube, namespace, stepped) == before, 300, "the new cluster to be gone", 2)
        ready(kube, stepped, namespace)
    note(f"an incremental upgrade taken back: {summary(result)}")
    assert sum(result["lost"].values()) <= result["asked"] * CUT_BY_GATEWAYS


def test_the_service_is_there_with_another_strategy(kube: Kube, client: Client, stepped: str, namespace: str) -> None:
    def whole(spec: Manifest) -> None:
        spec["upgrade"] = {"strategy": "NewCluster"}

    edited(kube, stepped, namespace, whole)
    ready(kube, stepped, namespace)
    address = f"http://{stepped}-serve-svc.{namespace}.svc:8000"
    assert url_of(kube, stepped, namespace) == address
    until(lambda: client.ask(f"{address}/hello")[0] == 200, 30, "the Service to answer")


def url_of(kube: Kube, name: str, namespace: str) -> str:
    return str(kube.get(LLMP, name, namespace)["status"].get("url", ""))  # type: ignore[index]  # it is there


def part_of(kube: Kube, name: str, namespace: str) -> str:
    """What the status says of the requests that the new cluster takes; empty before it takes any."""
    said: Any = kube.conditions(name, namespace).get("Reconciling", {"message": ""})["message"]
    return str(said) if "of the requests" in said else ""


def another_size(spec: Manifest) -> None:
    """The size of the worker Pods, there and back."""
    resources = spec["workers"][0]["resources"]
    resources["memory"] = "1900Mi" if resources["memory"] == "2Gi" else "2Gi"
