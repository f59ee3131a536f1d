"""All checks, in the order in which a cluster is set up."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from llmpipeline.doctor.crds import our_crd, ray_crd
from llmpipeline.doctor.gpus import gpus
from llmpipeline.doctor.kuberay_operator import kuberay_operator
from llmpipeline.doctor.types import ClusterFacts, Finding, Unread, unknown
from llmpipeline.rights import Right

# From here on ValidatingAdmissionPolicy is generally available, and with it the CEL that our CRD uses.
OLDEST_KUBERNETES: Final = (1, 30)


def diagnose(facts: ClusterFacts) -> list[Finding]:
    """All findings; a check may have several."""
    checks: tuple[Callable[[ClusterFacts], list[Finding]], ...] = (
        kubernetes,
        our_crd,
        ray_crd,
        kuberay_operator,
        gpus,
        gateway,
        pod_monitors,
        rights,
    )
    return [finding for check in checks for finding in check(facts)]


def kubernetes(facts: ClusterFacts) -> list[Finding]:
    """Whether the API server is new enough."""
    check = "Kubernetes"
    if isinstance(facts.kubernetes, Unread):
        return unknown(check, facts.kubernetes)
    number = re.match(r"v?(\d+)\.(\d+)", facts.kubernetes)
    if not number:
        return [Finding(check, "Unknown", f"{facts.kubernetes!r} is not a version; 1.30 or newer is needed")]
    if (int(number[1]), int(number[2])) < OLDEST_KUBERNETES:
        return [Finding(check, "Problem", f"{facts.kubernetes}; 1.30 or newer is needed", "upgrade the cluster")]
    return [Finding(check, "Ok", facts.kubernetes)]


def gateway(facts: ClusterFacts) -> list[Finding]:
    """Whether traffic can be led by the Gateway API. Optional."""
    check, classes = "Gateway API", facts.gateway_classes
    need = "upgrade strategy Incremental and network.httpRoute need"
    if isinstance(classes, Unread):
        return unknown(check, classes)
    if classes is None:
        remedy = "if you use one of them, install a gateway controller and the Gateway API's CRDs"
        return [Finding(check, "Warning", f"not installed: {need} it", remedy)]
    if not classes:
        return [Finding(check, "Warning", f"no GatewayClass: {need} one", "install a gateway controller")]
    return [Finding(check, "Ok", f"GatewayClasses: {', '.join(classes)}")]


def pod_monitors(facts: ClusterFacts) -> list[Finding]:
    """Whether there are PodMonitors, which say what Prometheus scrapes. Optional."""
    check = "Prometheus operator"
    if isinstance(facts.pod_monitors, Unread):
        return unknown(check, facts.pod_monitors)
    if not facts.pod_monitors:
        remedy = "if you use it, install the Prometheus operator"
        return [Finding(check, "Warning", "not installed: monitoring.podMonitor needs it", remedy)]
    return [Finding(check, "Ok", "PodMonitors are known")]


def rights(facts: ClusterFacts) -> list[Finding]:
    """Whether the operator may do what it does."""
    check, missing = "Rights", facts.missing_rights
    if isinstance(missing, Unread):
        return unknown(check, missing)
    who = facts.user or "this kubeconfig's user"
    where = f"in {facts.namespace}" if facts.namespace else "in all namespaces"
    remedy = "grant them by a role and a binding"
    if not facts.user:
        remedy = "if the operator runs as another user, check that one: --as system:serviceaccount:NAMESPACE:NAME"
    needed = _together((right, verb) for right, verb in missing if not right.feature)
    wanted = _together((right, verb) for right, verb in missing if right.feature)
    found = []
    if needed:
        told = "; ".join(f"{', '.join(verbs)} {right.target}" for right, verbs in needed.items())
        found.append(Finding(check, "Problem", f"{who} may not, {where}: {told}", remedy))
    if wanted:
        told = "; ".join(f"{', '.join(verbs)} {right.target} ({right.feature})" for right, verbs in wanted.items())
        message = f"{who} may not, {where}, what only some features need: {told}"
        found.append(Finding(check, "Warning", message, remedy))
    return found or [Finding(check, "Ok", f"{who} may do all that the operator does, {where}")]


def _together(missing: Iterable[tuple[Right, str]]) -> Mapping[Right, list[str]]:
    verbs: dict[Right, list[str]] = {}
    for right, verb in missing:
        verbs.setdefault(right, []).append(verb)
    return verbs
