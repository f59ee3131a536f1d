"""What the rendered NetworkPolicies let through, where they are enforced.

No Ray runs here: Pods that wear the labels of Ray Pods and listen on their ports stand for them, because labels and
ports are all that a policy sees. The policies are those that the operator renders for the pipeline `a`.

Where the cluster does not enforce policies itself, its nodes are made to for as long as these tests take; where they
cannot be, the tests are skipped and say why.
"""

from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from llmpipeline import desired, names
from llmpipeline.desired import Desired
from llmpipeline.kuberay.conventions import LABEL_NODE_TYPE, OPERATOR_LABELS
from llmpipeline.render.platform import Platform
from support.cache import AssetsError
from support.e2e.enforcer import enforcing
from support.e2e.installation import Images, note
from support.e2e.kubectl import Kube, until
from support.e2e.peers import API_SERVER, DASHBOARD, METRICS, PORTS, SERVING, Connection, Peer, Peers, settled
from support.pipelines import pipeline

TEAM, KUBERAY, GATEWAY, EVIL = "e2e-policy-team", "e2e-policy-kuberay", "e2e-policy-gateway", "e2e-policy-evil"


def ray_pod(namespace: str, name: str, of: str, node_type: str) -> Peer:
    return Peer(namespace, name, {names.LABEL_PIPELINE: of, LABEL_NODE_TYPE: node_type})


HEAD = ray_pod(TEAM, "a-head", "a", "head")
WORKER = ray_pod(TEAM, "a-worker", "a", "worker")
NEIGHBOUR = ray_pod(TEAM, "b-worker", "b", "worker")
NAMESAKE = ray_pod(EVIL, "a-worker", "a", "worker")
# Stands for KubeRay's operator, wherever the real one is.
OPERATOR = Peer(KUBERAY, "operator", OPERATOR_LABELS)
NEAR_OPERATOR = Peer(KUBERAY, "other", {"app.kubernetes.io/name": "other"})
# Anybody may wear KubeRay's label in a namespace of their own.
DISGUISED = Peer(EVIL, "operator", OPERATOR_LABELS)
CALLER = Peer(GATEWAY, "caller")
STORE = Peer(GATEWAY, "store")

RAY = (HEAD, WORKER)
OTHERS = (NEIGHBOUR, NAMESAKE, OPERATOR, NEAR_OPERATOR, DISGUISED, CALLER, STORE)
ALL = (*RAY, *OTHERS)
GROWS = [{"name": "cpu", "resources": {"cpus": 1, "memory": "2Gi"}, "minReplicas": 1, "maxReplicas": 2}]
STAYS = [{**GROWS[0], "maxReplicas": 1}]
NAME_OF_API_SERVER = "kubernetes.default.svc"


@pytest.fixture(scope="module")
def pods(kube: Kube, images: Images) -> Iterator[Peers]:
    """All of them, in a network that carries every connection before anything is there to stop one."""
    made = Peers(kube, images.operator, *ALL)
    try:
        made.start()
        carries_everything(made)
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module", autouse=True)
def enforced(kube: Kube, images: Images, pods: Peers) -> Iterator[None]:
    """Skips the tests unless a policy that lets nothing in lets nothing in."""
    with ExitStack() as stack:
        how = "by the cluster itself"
        if not denies(kube, pods):
            how = "by kube-network-policies beside the cluster's network plugin"
            try:
                stack.enter_context(enforcing(kube, images.operator))
            except AssetsError as error:
                pytest.skip(f"the cluster enforces no NetworkPolicies, and cannot be made to: {error}")
            if not denies(kube, pods):
                pytest.skip("nothing enforces NetworkPolicies here: no packet comes to the enforcer that was started")
        note(f"network policies were enforced {how}")
        yield


def denies(kube: Kube, pods: Peers) -> bool:
    """Whether a policy against all that comes in has an effect within some seconds."""
    metadata = {"name": "nothing", "namespace": TEAM}
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    target = (pods.address(HEAD), SERVING)
    kube.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
    try:
        return until(lambda: pods.connects(CALLER, target) == [False], 10, "a connection to be denied")
    except TimeoutError:
        return False
    finally:
        kube.delete("networkpolicy", "nothing", TEAM)


def carries_everything(pods: Peers) -> None:
    everything = reach_ray(dict.fromkeys(ALL, PORTS))
    assert settled(lambda: pods.reached(ALL, RAY), everything) == everything
    everything = {(caller, server, port) for caller in RAY for server in OTHERS for port in PORTS}
    assert settled(lambda: pods.reached(RAY, OTHERS), everything) == everything


def reach_ray(ports: Mapping[Peer, Set[int]]) -> set[Connection]:
    """Who reaches which ports of each Ray Pod, but for itself; who is not named reaches none."""
    return {
        (caller, server, port)
        for caller, reached in ports.items() for server in RAY if server != caller for port in reached
    }  # fmt: skip


@contextmanager
def policies(kube: Kube, policy: dict[str, Any], workers: list[dict[str, Any]] = STAYS) -> Iterator[None]:
    """Those of the pipeline `a`, as the operator renders them, for as long as the block takes."""
    document = pipeline(name="a", namespace=TEAM, network={"policy": policy}, workers=workers)
    compiled = desired.compile(document, Platform(kuberay_namespace=KUBERAY))
    assert isinstance(compiled, Desired), compiled.problems
    kube.apply(*(item for item in compiled.companions if item["kind"] == "NetworkPolicy"))
    try:
        yield
    finally:
        kube.delete("networkpolicies", "--all", TEAM)


def test_without_policies_the_enforcer_lets_everything_through(kube: Kube, pods: Peers) -> None:
    carries_everything(pods)
    assert pods.connects(WORKER, api_server(kube)) == [True]
    assert pods.resolves(WORKER, NAME_OF_API_SERVER)


@pytest.mark.parametrize(
    ("serve_from", "callers"),
    [
        ([{"name": "gateway", "namespaceLabels": {"kubernetes.io/metadata.name": GATEWAY}}], {CALLER, STORE}),
        ([{"name": "neighbour", "podLabels": {names.LABEL_PIPELINE: "b"}}], {NEIGHBOUR}),
        ([], {NEIGHBOUR, NAMESAKE, NEAR_OPERATOR, DISGUISED, CALLER, STORE}),
    ],
    ids=["from a namespace", "from a neighbour", "from everywhere"],
)
def test_who_reaches_a_ray_pod(kube: Kube, pods: Peers, serve_from: list[dict[str, Any]], callers: set[Peer]) -> None:
    """Its own Pods reach all of it, KubeRay what it needs, and callers the serving port; nobody else reaches it."""
    expected = reach_ray(
        {**dict.fromkeys(RAY, PORTS), OPERATOR: {DASHBOARD, SERVING}, **{it: {SERVING} for it in callers}}
    )
    with policies(kube, {"serveFrom": serve_from}):
        assert settled(lambda: pods.reached(ALL, RAY), expected) == expected


@pytest.mark.parametrize("workers", [GROWS, STAYS], ids=["that grows", "of one size"])
def test_a_closed_pipeline_reaches_what_it_names(kube: Kube, pods: Peers, workers: list[dict[str, Any]]) -> None:
    """And its head reaches the API server, for the autoscaler in it, which always runs."""
    with policies(kube, closed(pods), workers):
        expected = NAMED | {(HEAD, server, API_SERVER) for server in OTHERS}
        assert settled(lambda: pods.reached(RAY, ALL), expected) == expected
        assert pods.connects(HEAD, api_server(kube)) == [True]
        if not on_the_node_of_the_api_server(kube, pods, WORKER):
            assert pods.connects(WORKER, api_server(kube)) == [False]
        assert pods.resolves(WORKER, NAME_OF_API_SERVER)


# What `closed` lets the Pods of the pipeline reach: each other, and what it names.
NAMED = reach_ray(dict.fromkeys(RAY, PORTS)) | {
    (caller, server, port) for caller in RAY for server, port in ((CALLER, METRICS), *((STORE, port) for port in PORTS))
}


def closed(pods: Peers) -> dict[str, Any]:
    """A policy that names two addresses outside the pipeline, and of one of them a single port."""
    whole, part = (f"{pods.address(peer)}/32" for peer in (STORE, CALLER))
    named = [{"name": "whole", "cidr": whole}, {"name": "part", "cidr": part, "ports": [METRICS]}]
    return {"egress": "Closed", "egressTo": named}


def api_server(kube: Kube) -> tuple[str, int]:
    """The real one, by the address of its Service."""
    service = kube.get("service", "kubernetes", "default")
    assert service
    return service["spec"]["clusterIP"], 443


def on_the_node_of_the_api_server(kube: Kube, pods: Peers, peer: Peer) -> bool:
    """No policy comes between a Pod and the node that it is on."""
    found = kube.get("endpointslice", "kubernetes", "default")
    assert found
    return any(pods.status(peer)["hostIP"] in item["addresses"] for item in found["endpoints"])
