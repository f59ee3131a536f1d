"""The Gateway of incremental upgrades, in the words of its controller. Anything may be missing, or somebody else's."""

from typing import Any

import pytest

from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.cluster.look import look
from llmpipeline.cluster.ownership import belongs_to
from llmpipeline.kuberay.conventions import INCREMENTAL
from llmpipeline.kuberay.gateway import GatewaySeen, gateway_seen

SERVICE = {
    "metadata": {"namespace": "ml", "name": "a", "uid": "service", "generation": 1},
    "spec": {"upgradeStrategy": {"type": INCREMENTAL}},
    "status": {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True"}],
        "activeServiceStatus": {"rayClusterName": "a-1", "applicationStatuses": {"hello": {"status": "RUNNING"}}},
    },
}
WORKS = [{"type": "Accepted", "status": "True"}, {"type": "Programmed", "status": "True"}]
ROUTED = [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]
# What the Gateway API's CRD has for one that nobody has looked at.
PENDING = [{"type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "Waiting for controller"}]


def owned(name: str, by: str = "service") -> dict[str, Any]:
    return {"namespace": "ml", "name": name, "ownerReferences": [{"uid": by, "controller": True}]}


def gateway(conditions: Any = WORKS, addresses: Any = (), by: str = "service") -> dict[str, Any]:
    status = {"conditions": conditions, "addresses": [{"value": value} for value in addresses]}
    return {"metadata": owned("a-gateway", by), "spec": {"gatewayClassName": "istio"}, "status": status}


def route(conditions: Any = ROUTED, by: str = "service", parent: str = "a-gateway") -> dict[str, Any]:
    parents = [{"parentRef": {"name": parent}, "conditions": conditions}]
    return {"metadata": owned("a-httproute", by), "status": {"parents": parents}}


def seen(found: Any, routed: Any) -> GatewaySeen:
    return gateway_seen("a", found, routed, lambda it: belongs_to(it, "service"))


@pytest.mark.parametrize(
    ("addresses", "host"),
    [
        (["10.0.0.1"], "10.0.0.1"),
        (["fd00::1"], "[fd00::1]"),
        (["gw.example.com", "10.0.0.1"], "gw.example.com"),
        (["evil.com/path?", "a b", "\x1b[31m", "10.0.0.1"], "10.0.0.1"),
        ([], ""),
        ([7, None], ""),
    ],
)
def test_where_it_answers(addresses: list[Any], host: str) -> None:
    assert seen(gateway(addresses=addresses), route()) == GatewaySeen(host)


@pytest.mark.parametrize(
    ("found", "routed", "says"),
    [
        (None, None, "not created the Gateway a-gateway yet; the cluster needs the CRDs of the Gateway API"),
        (gateway(by="other"), route(), "the Gateway a-gateway is not KubeRay's: somebody else made it"),
        (gateway(PENDING), None, "a-gateway of the GatewayClass istio is not Accepted: Waiting for controller"),
        (gateway(WORKS[:1]), None, "a-gateway of the GatewayClass istio is not Programmed: no controller has looked"),
        (gateway(), None, "KubeRay has not created the HTTPRoute a-httproute yet"),
        (gateway(), route(by="other"), "the HTTPRoute a-httproute is not KubeRay's"),
        (gateway(), route(parent="other"), "the HTTPRoute a-httproute is not Accepted: no controller has looked at it"),
        (gateway(), route([ROUTED[0], {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound"}]),
         "the HTTPRoute a-httproute is not ResolvedRefs: BackendNotFound"),
        ({"metadata": owned("a-gateway"), "spec": 7, "status": []}, {}, "is not Accepted"),
        ({"metadata": owned("a-gateway"), "status": {"conditions": "x", "addresses": "y"}}, {}, "is not Accepted"),
        (gateway(), {"metadata": owned("a-httproute"), "status": {"parents": [7, {"parentRef": 7}]}}, "not Accepted"),
    ],
)  # fmt: skip
def test_why_it_takes_no_requests(found: Any, routed: Any, says: str) -> None:
    fault = seen(found, routed).fault
    assert says in fault
    assert not fault.endswith(".")


@pytest.mark.parametrize("order", [1, -1])
def test_what_a_former_controller_said_of_the_route_does_not_count(order: int) -> None:
    """After a change of the GatewayClass its entry may stay; for KubeRay too one that is well is enough."""
    stale = [{"type": "Accepted", "status": "False", "message": "not mine any more"}]
    parents = [{"parentRef": {"name": "a-gateway"}, "conditions": it} for it in (stale, ROUTED)]
    routed = {**route(), "status": {"parents": parents[::order]}}
    assert seen(gateway(), routed).fault == ""


class FakeCluster:
    """A Gateway and an HTTPRoute, or a refusal to show them."""

    def __init__(self, status: int = 0) -> None:
        self.asked: list[str] = []
        self._status = status

    async def read(self, kind: str, key: Any) -> dict[str, Any]:
        self.asked.append(f"{kind} {key.name}")
        if self._status:
            raise RequestRejected(self._status, "no")
        return gateway(addresses=["10.0.0.1"]) if kind == "Gateway" else route()


async def test_it_is_looked_at() -> None:
    cluster = FakeCluster()
    observed = await look(cluster, SERVICE, was_ready=True)  # type: ignore[arg-type]
    assert observed.gateway == GatewaySeen("10.0.0.1")
    assert cluster.asked == ["Gateway a-gateway", "HTTPRoute a-httproute"]


async def test_an_operator_that_may_not_read_it_says_nothing_against_it() -> None:
    observed = await look(FakeCluster(403), SERVICE, was_ready=True)  # type: ignore[arg-type]
    assert (observed.gateway, observed.gateway_fault) == (None, "")
    with pytest.raises(RequestRejected):
        await look(FakeCluster(500), SERVICE, was_ready=True)  # type: ignore[arg-type]


async def test_other_pipelines_have_none() -> None:
    cluster = FakeCluster()
    await look(cluster, {**SERVICE, "spec": {}}, was_ready=True)  # type: ignore[arg-type]
    assert cluster.asked == []
