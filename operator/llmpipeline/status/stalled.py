"""Whether what the spec asks for cannot come true until somebody acts."""

from typing import Final

from llmpipeline.conditions import Accepted, Applied, Stalled, Verdict
from llmpipeline.kuberay.service import DEPLOY_FAILED, GAVE_UP, INVALID, Observed
from llmpipeline.status.accepted import ACCEPTED
from llmpipeline.status.situation import Chain, Situation, first, of_service
from llmpipeline.status.words import failures

# What trying again does not help.
_FINAL: Final = {
    Accepted.INVALID_SPEC: Stalled.INVALID_SPEC,
    Accepted.DOES_NOT_FIT: Stalled.DOES_NOT_FIT,
    Accepted.IMAGE_NOT_ALLOWED: Stalled.IMAGE_NOT_ALLOWED,
    Applied.NAME_TAKEN: Stalled.NAME_TAKEN,
    Applied.REJECTED: Stalled.REJECTED,
}


def not_accepted(situation: Situation) -> Verdict | None:
    """The spec cannot work."""
    return _final(first(ACCEPTED, situation))


def not_applied(situation: Situation) -> Verdict | None:
    """The RayService cannot be applied, and that will not change by itself."""
    return _final(situation.applied)


def _final(verdict: Verdict) -> Verdict | None:
    reason = _FINAL.get(verdict.reason)
    return Verdict(reason, verdict.message) if reason else None


@of_service
def kuberay_stopped(_: Situation, observed: Observed) -> Verdict | None:
    """KubeRay stops without noting the generation in both cases, so it does not matter whether it has seen this one."""
    said = observed.message or observed.reason
    if observed.reason == INVALID:
        return Verdict(Stalled.INVALID_RAY_SERVICE, f"KubeRay rejects the RayService: {said}. Fix the spec.")
    if observed.reason == GAVE_UP:
        message = f"KubeRay has given up: {said}. Fix the spec and delete the RayService."
        return Verdict(Stalled.INITIALIZING_TIMEOUT, message)
    return None


@of_service
def apps_failed(_: Situation, observed: Observed) -> Verdict | None:
    """Ray Serve does not try again to start an app whose replicas have all failed, until the app is changed."""
    apps = observed.newest if observed.seen else {}
    final = {name: app for name, app in apps.items() if app.state == DEPLOY_FAILED}
    return Verdict(Stalled.APPS_FAILED, failures(final)) if final else None


def not_stalled(_: Situation) -> Verdict:
    """All else has been ruled out."""
    return Verdict(Stalled.NOT_STALLED, "Nothing waits for somebody to act.")


STALLED: Chain = (not_accepted, not_applied, kuberay_stopped, apps_failed, not_stalled)
