"""The Gateway of an incremental upgrade: whether it takes requests, and where. Pure.

With this strategy KubeRay 1.7.0 makes a Service for each Ray cluster and none for the whole, so there is no
`NAME-serve-svc`: requests come through the Gateway `NAME-gateway` and its HTTPRoute `NAME-httproute` alone. Neither is
part of KubeRay's own `Ready`. Source: `BuildServeService`, `IsGatewayReady` and `IsHTTPRouteReady`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from llmpipeline import names
from llmpipeline.kuberay.text import plain
from llmpipeline.kuberay.untrusted import dict_of, dicts_of
from llmpipeline.names import Manifest

_OF_GATEWAY: Final = ("Accepted", "Programmed")
_OF_ROUTE: Final = ("Accepted", "ResolvedRefs")
_NEEDS: Final = "the cluster needs the CRDs of the Gateway API"


@dataclass(frozen=True, slots=True)
class GatewaySeen:
    """The Gateway and its HTTPRoute as read.

    Attributes:
        host: Where it answers, on port 80, as it stands in a URL; empty if its controller does not say.
        fault: Why it takes no requests, as a sentence without its period; empty if it does.
    """

    host: str = ""
    fault: str = ""


def gateway_name(rayservice: str) -> str:
    """The Gateway that KubeRay makes for a RayService."""
    return f"{rayservice}-gateway"


def route_name(rayservice: str) -> str:
    """The HTTPRoute that KubeRay makes for a RayService."""
    return f"{rayservice}-httproute"


def gateway_seen(
    rayservice: str, gateway: Manifest | None, route: Manifest | None, is_own: Callable[[Manifest], bool]
) -> GatewaySeen:
    """What a Gateway and an HTTPRoute say.

    Args:
        rayservice: The name of the RayService.
        gateway: The object of its name; None if there is none, or no such kind.
        route: The same.
        is_own: Whether an object belongs to the RayService.
    """
    if not gateway:
        return GatewaySeen(fault=f"KubeRay has not created the Gateway {gateway_name(rayservice)} yet; {_NEEDS}")
    if not is_own(gateway):
        return GatewaySeen(fault=_foreign(f"Gateway {gateway_name(rayservice)}"))
    return GatewaySeen(_host(gateway), _of_gateway(gateway) or _of_route(rayservice, route, is_own))


def _foreign(what: str) -> str:
    return f"the {what} is not KubeRay's: somebody else made it, so delete it or rename the pipeline"


def _of_gateway(gateway: Manifest) -> str:
    wrong = _not_true(dicts_of(dict_of(gateway.get("status")).get("conditions")), _OF_GATEWAY)
    if not wrong:
        return ""
    of_class = dict_of(gateway.get("spec")).get("gatewayClassName")
    return f"the Gateway {gateway['metadata']['name']} of the GatewayClass {plain(of_class)} is {wrong}"


def _of_route(rayservice: str, route: Manifest | None, is_own: Callable[[Manifest], bool]) -> str:
    what = f"HTTPRoute {route_name(rayservice)}"
    if not route:
        return f"KubeRay has not created the {what} yet"
    if not is_own(route):
        return _foreign(what)
    parents = dicts_of(dict_of(route.get("status")).get("parents"))
    mine = (it for it in parents if dict_of(it.get("parentRef")).get("name") == gateway_name(rayservice))
    # A former controller may have left an entry: one that is well is enough, for KubeRay too.
    wrong = [_not_true(dicts_of(it.get("conditions")), _OF_ROUTE) for it in mine] or [_not_true([], _OF_ROUTE)]
    return f"the {what} is {wrong[0]}" if all(wrong) else ""


def _not_true(conditions: Sequence[Manifest], wanted: tuple[str, ...]) -> str:
    """The first condition that is not true, and why, like "not Programmed: ..."; empty if all are."""
    found = {str(it.get("type")): it for it in conditions}
    for kind in wanted:
        condition = found.get(kind, {})
        if condition.get("status") != "True":
            why = plain(condition.get("message")) or plain(condition.get("reason")) or "no controller has looked at it"
            return f"not {kind}: {why}".rstrip(".")
    return ""


def _host(gateway: Manifest) -> str:
    """The first address that can stand in a URL."""
    for address in dicts_of(dict_of(gateway.get("status")).get("addresses")):
        value = address.get("value")
        if not isinstance(value, str):
            continue
        try:
            ip = ip_address(value)
        except ValueError:
            if names.is_object_name(value):
                return value
        else:
            return f"[{ip}]" if ip.version == 6 else str(ip)
    return ""
