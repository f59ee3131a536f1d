"""Whether a change is still in progress, and which."""

from typing import Final

from llmpipeline.conditions import Applied, Reconciling, Verdict
from llmpipeline.kuberay.service import FAILED, RUNNING, SUSPENDED, SUSPENDING, Observed
from llmpipeline.status.situation import Chain, Situation, first, of_service
from llmpipeline.status.stalled import STALLED
from llmpipeline.status.times import seconds_between
from llmpipeline.status.words import gateway_fault, pods, states, suspension

# Three looks of KubeRay.
QUIET_SECONDS: Final = 6.0
# So long after a change no report is about what was before it, however often it changes: Pods come and go by load.
STALE_SECONDS: Final = 60.0

_SUSPENSION = {
    SUSPENDING: Verdict(Reconciling.SUSPENDING, "The Ray cluster is being deleted, as spec.suspend asks."),
    SUSPENDED: Verdict(Reconciling.SUSPENDED, "Nothing runs, as spec.suspend asks."),
}


def terminating(situation: Situation) -> Verdict | None:
    """A former RayService of this name goes away first."""
    if situation.observed or situation.applied.reason != Applied.TERMINATING:
        return None
    return Verdict(Reconciling.TERMINATING, situation.applied.message)


def not_applied(situation: Situation) -> Verdict | None:
    """There is no RayService, and nothing is in progress; the reason is why it was not applied."""
    return None if situation.observed else situation.applied


def stalled(situation: Situation) -> Verdict | None:
    """Nothing moves until somebody acts."""
    if first(STALLED, situation).truth != "True":
        return None
    return Verdict(Reconciling.STALLED, "No change is in progress, because somebody has to act first; see Stalled.")


@of_service
def suspended_by_other(situation: Situation, observed: Observed) -> Verdict | None:
    """Somebody else keeps it from running, and will end that: nothing moves here until then."""
    text = "" if situation.asks_to_suspend or not observed.seen else suspension(observed)
    if not text:
        return None
    if observed.reason == SUSPENDING:
        return Verdict(Reconciling.SUSPENDING, f"The Ray cluster is being deleted. {text}")
    return Verdict(Reconciling.SUSPENDED_BY_OTHER, text)


@of_service
def suspended(_: Situation, observed: Observed) -> Verdict | None:
    """Everything is being deleted or has been, as asked."""
    return _SUSPENSION.get(observed.reason) if observed.seen else None


@of_service
def waiting_for_kuberay(_: Situation, observed: Observed) -> Verdict | None:
    """What is reported is about an older generation."""
    if observed.seen:
        return None
    message = "KubeRay has not processed the newest RayService yet. If this lasts, check that KubeRay's operator runs."
    return Verdict(Reconciling.WAITING_FOR_KUBERAY, message)


@of_service
def rolling_back(_: Situation, observed: Observed) -> Verdict | None:
    """An incremental upgrade is being taken back."""
    if not observed.rolling_back:
        return None
    message = f"Requests move back from {observed.pending_cluster} to {observed.active_cluster}."
    return Verdict(Reconciling.ROLLING_BACK, message)


@of_service
def upgrading(_: Situation, observed: Observed) -> Verdict | None:
    """A second Ray cluster is starting."""
    if not observed.upgrading:
        return None
    new, old, percent = observed.pending_cluster, observed.active_cluster, observed.pending_percent
    message = f"The new cluster {new} is starting; until it runs, {old} serves."
    if percent:
        message = f"The new cluster {new} takes {percent} % of the requests; {old} takes the rest."
    return Verdict(Reconciling.UPGRADING, f"{message}{pods(observed)}{states(observed.pending)}")


@of_service
def initializing(_: Situation, observed: Observed) -> Verdict | None:
    """The only Ray cluster is starting."""
    if observed.ready:
        return None
    message = f"The Ray cluster is starting.{pods(observed)}{states(observed.newest)}"
    return Verdict(Reconciling.INITIALIZING, message)


@of_service
def gateway_not_ready(_: Situation, observed: Observed) -> Verdict | None:
    """Nothing else is in progress, and KubeRay or the Gateway's controller has work to do."""
    text = gateway_fault(observed)
    return Verdict(Reconciling.GATEWAY_NOT_READY, text) if text else None


@of_service
def deploying(situation: Situation, observed: Observed) -> Verdict | None:
    """Apps change on the cluster that serves, or are not known there yet."""
    moving = [name for name in situation.routes if _state(observed, name) not in FAILED | {RUNNING}]
    return Verdict(Reconciling.DEPLOYING, f"Changing in place: {', '.join(moving)}.") if moving else None


def _state(observed: Observed, app: str) -> str:
    return observed.active[app].state if app in observed.active else ""


@of_service
def pods_starting(_: Situation, observed: Observed) -> Verdict | None:
    """Apps run, perhaps on fewer Pods than the spec asks for."""
    if not observed.is_short:
        return None
    return Verdict(Reconciling.PODS_STARTING, f"A worker group has fewer Pods than its minimum.{pods(observed)}")


@of_service
def report_is_fresh(situation: Situation, observed: Observed) -> Verdict | None:
    """Every app runs, by a report that may be older than the change."""
    if not settles_in(situation, observed):
        return None
    message = "Every app runs. It is certain in a few seconds, when KubeRay's report has not changed any more."
    return Verdict(Reconciling.DEPLOYING, message)


def settles_in(situation: Situation, observed: Observed) -> float:
    """Seconds until KubeRay's report can be believed; 0 if it can.

    KubeRay hands a new Serve config to Ray Serve and reports its generation as seen, with the states that the apps had
    before: their new ones come with its next look, two seconds later. Ray's proxies may also learn of a route a second
    or two after the app runs.
    """
    age = seconds_between(observed.updated_at, situation.now)
    if situation.was_settled or age is None or not 0 <= age < QUIET_SECONDS:
        return 0.0
    since_change = seconds_between(observed.applied_at, situation.now)
    return QUIET_SECONDS - age if since_change is None or since_change < STALE_SECONDS else 0.0


@of_service
def settled(_: Situation, __: Observed) -> Verdict:
    """All else has been ruled out."""
    return Verdict(Reconciling.SETTLED, "No change is in progress.")


RECONCILING: Chain = (
    terminating,
    stalled,
    not_applied,
    suspended_by_other,
    suspended,
    waiting_for_kuberay,
    rolling_back,
    upgrading,
    initializing,
    gateway_not_ready,
    deploying,
    pods_starting,
    report_is_fresh,
    settled,
)
