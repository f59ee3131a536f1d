"""Whether requests are answered as the spec asks now. If not, the condition that matters most says why."""

from collections.abc import Mapping
from typing import Final

from llmpipeline.api.status import AppStatus
from llmpipeline.conditions import Accepted, Applied, Available, Ready, Reason, Reconciling, Stalled, Truth, Verdict
from llmpipeline.kuberay.service import Observed
from llmpipeline.status.app import unsteady
from llmpipeline.status.words import failures, fault

# Whether the change is done is not known.
_NOT_KNOWN: Final = frozenset({Reconciling.DEPLOYING, Reconciling.WAITING_FOR_KUBERAY})
_RESTING: Final = frozenset({Reconciling.SUSPENDING, Reconciling.SUSPENDED, Reconciling.SUSPENDED_BY_OTHER})
_STILL_ANSWERED: Final = "Requests are still answered, perhaps by the version before."


def ready(verdicts: Mapping[str, Verdict], observed: Observed | None, apps: tuple[AppStatus, ...]) -> Verdict:
    """The last condition.

    Args:
        verdicts: Of the other conditions, by type.
        observed: The RayService as it is; None if there is none.
        apps: The status of each app.
    """
    available = verdicts[Available.TYPE]
    cause = _cause(verdicts, observed, apps)
    if not cause:
        return Verdict(Ready.APPS_RUNNING, "Every app runs as the spec asks.")
    truth: Truth = "Unknown" if cause.reason in _NOT_KNOWN or cause.truth == "Unknown" else "False"
    message = f"{cause.message.rstrip('.')}. {_STILL_ANSWERED}" if available.truth == "True" else cause.message
    return Verdict(Reason(cause.reason.word, truth), message)


def _cause(verdicts: Mapping[str, Verdict], observed: Observed | None, apps: tuple[AppStatus, ...]) -> Verdict | None:
    """What matters most of all that keeps the pipeline from being ready; None if it is."""
    for kind in (Accepted.TYPE, Applied.TYPE):
        if verdicts[kind].truth != "True":
            return verdicts[kind]
    if verdicts[Stalled.TYPE].truth == "True":
        return verdicts[Stalled.TYPE]
    available = verdicts[Available.TYPE]
    if verdicts[Reconciling.TYPE].reason in _RESTING:  # and not where KubeRay is yet to start it again
        return available
    if observed and (found := _fault(observed)):
        return found
    if verdicts[Reconciling.TYPE].truth == "True":
        return verdicts[Reconciling.TYPE]
    if available.truth != "True":
        return available
    text = unsteady(apps)
    return Verdict(Ready.APPS_UNSTEADY, text) if text else None


def _fault(observed: Observed) -> Verdict | None:
    """What is known against Pods and apps: what has failed before what only waits."""
    failed = failures(observed.newest) if observed.seen else ""
    if observed.is_failing:
        return Verdict(Available.PODS_FAILING, " ".join(filter(None, (fault(observed), failed))))
    if failed:
        return Verdict(Available.APPS_FAILED, failed)
    return Verdict(Available.PODS_PENDING, fault(observed)) if observed.is_waiting else None
