"""Whether KubeRay's operator is there, new enough, and set up for what pipelines ask of it."""

from collections.abc import Sequence

from llmpipeline.doctor.types import ClusterFacts, Finding, Unread, unknown
from llmpipeline.kuberay import release


def kuberay_operator(facts: ClusterFacts) -> list[Finding]:
    """All that its Deployments show."""
    check = "KubeRay operator"
    if isinstance(facts.operators, Unread):
        return unknown(check, facts.operators)
    found = release.operators(facts.operators)
    if not found:
        remedy = f"{release.INSTALL}; if your provider runs KubeRay for you, ask it for the version"
        return [Finding(check, "Problem", "no namespace has a Deployment of it", remedy)]
    findings = [
        finding
        for operator in found
        for finding in (_version(operator), _ready(operator), _gates(operator), _workers(operator))
    ]
    return [*findings, *_watched([operator for operator in found if operator.replicas], facts.namespace)]


def _version(operator: release.Operator) -> Finding:
    check, wanted = "KubeRay operator", release.show(release.OLDEST)
    if operator.version is None:
        message = f"{operator.name}: the image {operator.image} does not show its version"
        return Finding(check, "Unknown", message, f"make sure that it is {wanted} or newer")
    if operator.version < release.OLDEST:
        message = f"{operator.name} is {release.show(operator.version)}; {wanted} or newer is needed"
        return Finding(check, "Problem", message, f"upgrade it, its CRDs first: {release.UPDATE_CRDS}")
    return Finding(check, "Ok", f"{operator.name} is {release.show(operator.version)} ({operator.image})")


def _ready(operator: release.Operator) -> Finding:
    check, pods = "KubeRay Pods", f"{operator.ready} of {operator.replicas} ready"
    if operator.ready:
        return Finding(check, "Ok", pods)
    namespace, _, name = operator.name.partition("/")
    return Finding(check, "Problem", f"{operator.name}: {pods}", f"kubectl -n {namespace} describe deployment {name}")


def _gates(operator: release.Operator) -> Finding:
    check = "KubeRay features"
    gates = (release.INCREMENTAL, release.EMBEDDED_STORAGE, release.NETWORK_POLICY)
    said = {True: "on", False: "off", None: "on from 1.7"}
    message = ", ".join(f"{gate} {said[operator.gate(gate)]}" for gate in gates)
    if operator.gate(release.INCREMENTAL) is not False:
        return Finding(check, "Ok", message)
    remedy = f"for upgrade strategy Incremental, start KubeRay with --feature-gates={release.INCREMENTAL}=true"
    return Finding(check, "Warning", message, remedy)


def _workers(operator: release.Operator) -> Finding:
    check = "KubeRay workers"
    cpu = f"CPU limit {operator.cpu}" if operator.cpu else "no CPU limit"
    if operator.workers is None:
        return Finding(check, "Unknown", f"the number of workers is in its configuration file; {cpu}")
    limited = operator.cpu_milli is not None and operator.cpu_milli < 1000
    if operator.workers > 1 and not limited:
        return Finding(check, "Ok", f"{operator.workers} workers, {cpu}")
    workers = "one worker" if operator.workers == 1 else f"{operator.workers} workers"
    message = f"{workers}, {cpu}: with many services every update waits"
    remedy = f"{release.UPGRADE} --reuse-values --set reconcileConcurrency=10,resources.limits.cpu=1"
    return Finding(check, "Warning", message, remedy)


def _watched(operators: Sequence[release.Operator], namespace: str | None) -> list[Finding]:
    check = "KubeRay namespaces"
    if not operators:
        return []  # all are scaled to nothing, and that is a finding already
    if any(operator.namespaces is None for operator in operators):
        return [Finding(check, "Unknown", "which namespaces it watches is in its configuration file")]
    everywhere = [operator.name for operator in operators if not operator.namespaces]
    if everywhere and len(operators) > 1:
        message = f"{', '.join(everywhere)} watches all, and there are {len(operators)} operators: they undo each other"
        return [Finding(check, "Problem", message, "leave one, or give each --watch-namespace with its own")]
    if everywhere:
        return [Finding(check, "Ok", "watches all")]
    watched = ", ".join(sorted({name for operator in operators for name in operator.namespaces or ()}))
    if namespace is None:
        return [Finding(check, "Warning", f"watches {watched} alone", "pipelines elsewhere wait forever")]
    if any(operator.watches(namespace) for operator in operators):
        return [Finding(check, "Ok", f"watches {namespace}")]
    remedy = f"add {namespace} to --watch-namespace"
    return [Finding(check, "Problem", f"watches {watched}, not {namespace}", remedy)]
