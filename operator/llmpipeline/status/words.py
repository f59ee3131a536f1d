"""How messages speak of apps and Pods."""

from collections.abc import Iterator, Mapping

from llmpipeline.kuberay.service import FAILED, HEALTHY, AppState, Observed
from llmpipeline.kuberay.suspension import KUEUE

# Of deployments there may be hundreds.
_MOST_OF_AN_APP = 1500


def failures(apps: Mapping[str, AppState]) -> str:
    """The apps that failed, with why; empty if none did."""
    failed = [f"app {name} is {app.state}: {cause(app)}" for name, app in apps.items() if app.state in FAILED]
    return " | ".join(failed)


def states(apps: Mapping[str, AppState]) -> str:
    """A sentence for each app, each after a space."""
    said = ((name, app.state, cause(app).rstrip(".")) for name, app in apps.items())
    return "".join(f" App {name} is {state}{f': {why}' if why else ''}." for name, state, why in said)


def pods(observed: Observed) -> str:
    """How many Pods run and why others do not, as sentences after a space; empty if no Pod is known."""
    summary = [observed.pods.summary] if observed.pods and observed.pods.total else []
    hidden = ["The operator may not read Pods, so why a Pod does not start is not known."]
    return "".join(f" {text}" for text in (*summary, *_faults(observed), *hidden * observed.are_pods_hidden))


def suspension(observed: Observed) -> str:
    """Who suspends the RayService, if it is not this operator; empty if nobody else does, or it serves all the same."""
    who = observed.suspended_by
    if not who or observed.ready:
        return ""
    if who == KUEUE:
        return "Kueue has not admitted it yet: nothing runs until its queue has room for the whole pipeline."
    return f"{who} suspends the RayService, and not spec.suspend: nothing runs until {who} ends that."


def gateway_fault(observed: Observed) -> str:
    """Why the Gateway of incremental upgrades takes no requests, as a sentence; empty if it does, or is not known."""
    return _sentence(observed.gateway_fault) if observed.gateway_fault else ""


def fault(observed: Observed) -> str:
    """Why Pods do not work, in sentences; empty if nothing is known against them."""
    return " ".join(_faults(observed))


def _faults(observed: Observed) -> Iterator[str]:
    return map(_sentence, observed.faults)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def cause(app: AppState) -> str:
    """Why an app failed: what its deployments say, because Ray's own words on the app only list their names."""
    said = [f"{item.name}: {item.message}" for item in app.deployments if item.message and item.state != HEALTHY]
    return "; ".join(said)[:_MOST_OF_AN_APP] or app.message
