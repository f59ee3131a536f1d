"""From what was asked and what was observed to the status that users read. Pure: the time comes in as a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from llmpipeline import names
from llmpipeline.names import Reason
from llmpipeline.observe import FAILED, HEALTHY, RUNNING, SUSPENDED, SUSPENDING, Application, Observed
from llmpipeline.problems import Problem, summarize

Truth = Literal["True", "False", "Unknown"]
Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition, before it has a time."""

    status: Truth
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Edit:
    """What a change of the spec did: the effect in one word, and for a person."""

    effect: str
    message: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the pipeline asks for, as far as the status needs it.

    Attributes:
        name: The pipeline's name, which is the RayService's too.
        namespace: Its namespace.
        generation: Its generation.
        routes: Route prefix by app.
        gpus: GPUs with the fewest and with the most Pods; None where the spec cannot work.
        problems: Why the spec cannot work.
        notes: What can work and may surprise.
        scaled: Replicas of the deployment that `spec.scale` names; None where it names none.
    """

    name: str
    namespace: str
    generation: int
    routes: dict[str, str]
    gpus: tuple[int, int] | None
    problems: Sequence[Problem]
    scaled: int | None = None
    notes: Sequence[str] = ()

    @property
    def url(self) -> str:
        """Where the pipeline answers inside the cluster: KubeRay's serve service."""
        return f"http://{self.name}-serve-svc.{self.namespace}.svc:{names.SERVE_PORT}"


# By the reason of KubeRay's own Ready condition.
_SUSPENSION: Final = {
    SUSPENDING: Verdict("True", Reason.SUSPENDING, "The Ray cluster is taken down, as spec.suspend asks."),
    SUSPENDED: Verdict("False", Reason.SUSPENDED, "Nothing runs, as spec.suspend asks."),
}


def make_status(
    asked: Asked, applied: Verdict, observed: Observed | None, edit: Edit | None, previous: Status, now: str
) -> Status:
    """The whole status.

    Args:
        asked: What the pipeline asks for.
        applied: How sending the RayService went.
        observed: The RayService as it is; None where there is none.
        edit: What the change of the spec did that was just applied; None where there was none.
        previous: The status so far, for the times of conditions that did not change, and for the last edit.
        now: The time, as RFC 3339.
    """
    verdicts = {
        names.ACCEPTED: accepted(asked),
        names.APPLIED: applied,
        names.PROGRESSING: progressing(applied, observed),
        names.READY: ready(asked, applied, observed),
    }
    status: Status = {
        "observedGeneration": asked.generation,
        "conditions": [_condition(kind, verdict, asked, previous, now) for kind, verdict in verdicts.items()],
        "apps": [_app(name, asked, observed) for name in asked.routes],
    }
    running = sum(app["state"] == RUNNING for app in status["apps"])
    status["readyApps"] = f"{running}/{len(asked.routes)}"
    if asked.gpus is not None:
        status["gpus"] = {"requested": asked.gpus[0], "maximum": asked.gpus[1]}
    if asked.scaled is not None:
        selector = f"{names.LABEL_PIPELINE}={asked.name},{names.LABEL_NODE_TYPE}=worker"
        status["scale"] = {"replicas": asked.scaled, "selector": selector}
    if edit:
        said = {"effect": edit.effect, "message": edit.message[:4096], "observedGeneration": asked.generation}
        status["lastEdit"] = said
    elif "lastEdit" in previous:
        status["lastEdit"] = previous["lastEdit"]
    if observed:
        status["rayService"] = _without_empty(
            {
                "name": asked.name,
                "activeCluster": observed.active_cluster,
                "pendingCluster": observed.pending_cluster,
            }
        )
        if observed.ready:
            status["url"] = asked.url
    return status


def accepted(asked: Asked) -> Verdict:
    """Whether the spec can work."""
    if asked.problems:
        return Verdict("False", asked.problems[0].reason, summarize(asked.problems))
    return Verdict("True", Reason.VALID, " ".join(("The spec can work.", *asked.notes)))


def progressing(applied: Verdict, observed: Observed | None) -> Verdict:
    """Whether something is still moving, and what."""
    if observed is None:
        moving = applied.reason == Reason.TERMINATING
        return Verdict("True" if moving else "False", applied.reason, applied.message)
    # Before `seen`: in these two KubeRay stops without noting the generation.
    said = observed.message or observed.reason
    if observed.reason == "ValidationFailed":
        return Verdict("False", Reason.STALLED, f"KubeRay refuses the RayService: {said}. Mend the spec.")
    if observed.reason == "InitializingTimeout":
        message = f"KubeRay has given up: {said}. Mend the spec and delete the RayService."
        return Verdict("False", Reason.STALLED, message)
    if observed.seen and observed.reason in _SUSPENSION:
        return _SUSPENSION[observed.reason]
    if not observed.seen:
        message = "KubeRay has not looked at the newest RayService yet; if this stays, see whether its operator runs."
        return Verdict("True", Reason.WAITING_FOR_KUBERAY, message)
    if observed.rolling_back:
        message = f"Requests move back from {observed.pending_cluster} to {observed.active_cluster}."
        return Verdict("True", Reason.ROLLING_BACK, message)
    if observed.upgrading:
        message = (
            f"The new cluster {observed.pending_cluster} comes up; until it runs, {observed.active_cluster} serves."
        )
        return Verdict("True", Reason.UPGRADING, f"{message}{_fault(observed)}{_states(observed.pending)}")
    if not observed.ready:
        message = f"The Ray cluster comes up.{_fault(observed)}{_states(observed.pending)}"
        return Verdict("True", Reason.INITIALIZING, message)
    moving_apps = [name for name, app in observed.active.items() if app.state not in FAILED | {RUNNING}]
    if moving_apps:
        return Verdict("True", Reason.DEPLOYING, f"Changing in place: {', '.join(moving_apps)}.")
    return Verdict("False", Reason.SETTLED, "Nothing is moving.")


def ready(asked: Asked, applied: Verdict, observed: Observed | None) -> Verdict:
    """Whether every app answers. KubeRay's own word counts only where it says no."""
    if observed is None:
        return Verdict("False", Reason.NOT_APPLIED, applied.message)
    if observed.reason in _SUSPENSION:
        return Verdict("False", Reason.SUSPENDED, "Nothing runs, as spec.suspend asks.")
    if not observed.ready:
        failed = _failures(observed.pending or observed.active)
        if failed:
            return Verdict("False", Reason.APPS_FAILED, failed)
        if observed.fault:
            return Verdict("False", Reason.PODS_FAILING, f"No Pod takes requests.{_fault(observed)}")
        return Verdict("False", Reason.NO_ENDPOINTS, "No Pod takes requests yet.")
    if observed.upgrading and not observed.active:
        message = (
            f"The cluster {observed.active_cluster} serves, as before the edit; KubeRay does not report its apps now."
        )
        return Verdict("True", Reason.SERVING_OLD_CLUSTER, message)
    failed = _failures(observed.active)
    if failed:
        return Verdict("False", Reason.APPS_FAILED, failed)
    if not asked.routes:
        return Verdict("Unknown", Reason.APPS_DEPLOYING, "No app is known to run.")
    other = [name for name in asked.routes if _state(name, observed) != RUNNING]
    if other:
        message = f"Being deployed: {', '.join(other)}. Whether they answer meanwhile, KubeRay does not say."
        return Verdict("Unknown", Reason.APPS_DEPLOYING, message)
    return Verdict("True", Reason.APPS_RUNNING, "Every app runs.")


def _state(name: str, observed: Observed) -> str:
    return observed.active[name].state if name in observed.active else ""


def _failures(apps: dict[str, Application]) -> str:
    failed = [f"app {name} is {app.state}: {_cause(app)}" for name, app in apps.items() if app.state in FAILED]
    return " | ".join(failed)


def _cause(app: Application) -> str:
    """Why an app failed: what its deployments say, for Ray's own words on the app only list their names."""
    said = [f"{item.name}: {item.message}" for item in app.deployments if item.message and item.state != HEALTHY]
    return "; ".join(said) or app.message


def _fault(observed: Observed) -> str:
    return f" {observed.fault[0].upper()}{observed.fault[1:]}." if observed.fault else ""


def _states(apps: dict[str, Application]) -> str:
    return "".join(
        f" App {name}: {app.state}{f': {app.message}' if app.message else ''}." for name, app in apps.items()
    )


def _app(name: str, asked: Asked, observed: Observed | None) -> dict[str, Any]:
    app = None
    if observed:
        app = observed.active.get(name) or observed.pending.get(name)
    entry: dict[str, Any] = {"name": name, "state": (app.state if app else "") or "UNKNOWN"}
    if app and app.message:
        entry["message"] = app.message
    if observed and observed.ready:
        entry["url"] = f"{asked.url}{'' if asked.routes[name] == '/' else asked.routes[name]}"
    if app and app.deployments:
        entry["deployments"] = [
            _without_empty({"name": item.name, "state": item.state, "message": item.message})
            for item in app.deployments
        ]
    return entry


def _condition(kind: str, verdict: Verdict, asked: Asked, previous: Status, now: str) -> dict[str, Any]:
    """The condition, with the time at which its status last changed."""
    before: dict[str, Any] = next((item for item in previous.get("conditions") or () if item.get("type") == kind), {})
    changed = before.get("status") != verdict.status
    return {
        "type": kind,
        "status": verdict.status,
        "reason": verdict.reason,
        "message": verdict.message[:4096],
        "observedGeneration": asked.generation,
        "lastTransitionTime": now if changed else before["lastTransitionTime"],
    }


def _without_empty(given: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in given.items() if value}
