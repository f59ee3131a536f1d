"""The status of one app; with its failures, so that one that comes and goes is not taken for one that works."""

from typing import Final

from llmpipeline.api.status import AppStatus, DeploymentStatus, FailureStatus
from llmpipeline.kuberay.service import FAILED, RUNNING, AppState
from llmpipeline.status.times import seconds_between
from llmpipeline.status.words import cause

# An app that has run for so long is well again.
WELL_AFTER_SECONDS: Final = 600
# One failure may be a node that went away.
_MOST_FAILURES: Final = 1


def app_status(name: str, app: AppState | None, url: str | None, before: AppStatus | None, now: str) -> AppStatus:
    """The status of an app.

    Args:
        name: The app's name.
        app: What KubeRay reports; None if it does not report it.
        url: Where it answers; None if it does not.
        before: Its status so far, of the same generation; None if there is none.
        now: The time, as RFC 3339.
    """
    state = (app.state if app else "") or "UNKNOWN"
    failures, last = _failures(state, app, before, now)
    return AppStatus(
        name=name,
        state=state,
        message=(app.message if app else "") or None,
        failures=failures,
        last_failure=last,
        url=url,
        deployments=_deployments(app) if app else (),
    )


def unsteady(apps: tuple[AppStatus, ...]) -> str:
    """What is known against apps that run just now, and failed several times before; empty if nothing is."""
    return " | ".join(
        f"app {app.name} runs now, but failed {app.failures} times in the last minutes, at {app.last_failure.time} "
        f"because of: {app.last_failure.message}"
        for app in apps
        if app.last_failure and (app.failures or 0) > _MOST_FAILURES
    )


def _failures(
    state: str, app: AppState | None, before: AppStatus | None, now: str
) -> tuple[int | None, FailureStatus | None]:
    if before is None:
        return None, None
    if app and state in FAILED and before.state == RUNNING:
        message = cause(app) or f"Ray Serve reports {state}"
        return (before.failures or 0) + 1, FailureStatus(time=now, message=message)
    if state == RUNNING and before.last_failure and _is_long_ago(before.last_failure.time, now):
        return None, None
    return before.failures, before.last_failure


def _is_long_ago(then: str, now: str) -> bool:
    seconds = seconds_between(then, now)
    return seconds is None or seconds > WELL_AFTER_SECONDS


def _deployments(app: AppState) -> tuple[DeploymentStatus, ...]:
    return tuple(
        DeploymentStatus(name=item.name, state=item.state, message=item.message or None) for item in app.deployments
    )
