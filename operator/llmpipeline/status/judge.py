"""The whole status, from the verdicts of the chains and from what was observed."""

import json
from typing import Final

from llmpipeline import names
from llmpipeline.api.pipeline import Metadata
from llmpipeline.api.status import (
    AppStatus,
    Condition,
    GpuCount,
    RayServiceStatus,
    ScaleStatus,
    Status,
)
from llmpipeline.conditions import Accepted, Applied, Available, Ready, Reconciling, Stalled, Verdict
from llmpipeline.desired import Desired
from llmpipeline.kuberay.conventions import LABEL_NODE_TYPE, serve_service
from llmpipeline.kuberay.service import RUNNING, Observed
from llmpipeline.status.accepted import ACCEPTED
from llmpipeline.status.app import app_status
from llmpipeline.status.available import AVAILABLE
from llmpipeline.status.ready import ready
from llmpipeline.status.reconciling import RECONCILING
from llmpipeline.status.situation import Situation, first
from llmpipeline.status.stage import stage_of
from llmpipeline.status.stalled import STALLED

# Of the message of a condition.
_LONGEST: Final = 2048
# Of a status as JSON, in characters; and what its messages are shortened to until it has no more.
_LARGEST: Final = 30_000
_SHORTER: Final = (200, 50, 0)


def judge(situation: Situation, previous: Status, now: str) -> Status:
    """The status of a pipeline.

    Args:
        situation: What is asked, applied and observed.
        previous: The status so far. It has the times of unchanged conditions and the last change of the spec.
        now: The time, as RFC 3339.
    """
    verdicts = {
        Accepted.TYPE: first(ACCEPTED, situation),
        Applied.TYPE: situation.applied,
        Stalled.TYPE: first(STALLED, situation),
        Reconciling.TYPE: first(RECONCILING, situation),
        Available.TYPE: first(AVAILABLE, situation),
    }
    observed, desired = situation.observed, situation.desired
    apps = _apps(situation, previous, now)
    verdicts[Ready.TYPE] = ready(verdicts, observed, apps)
    plan = desired.plan if isinstance(desired, Desired) else None
    return within_bounds(
        Status(
            observed_generation=desired.metadata.generation,
            conditions=tuple(
                _condition(kind, verdict, desired.metadata.generation, previous, now)
                for kind, verdict in verdicts.items()
            ),
            stage=stage_of(verdicts[Reconciling.TYPE], observed, previous, now),
            url=_url(situation.desired.metadata, observed) or None,
            ready_apps=f"{sum(app.state == RUNNING for app in apps)}/{len(apps)}",
            gpus=GpuCount(requested=plan.gpus.minimum, maximum=plan.gpus.maximum) if plan else None,
            apps=apps,
            scale=_scale(situation),
            last_edit=situation.last_edit or previous.last_edit,
            ray_service=_ray_service(situation, observed) if observed else None,
        )
    )


def _scale(situation: Situation) -> ScaleStatus | None:
    desired = situation.desired
    if not (isinstance(desired, Desired) and desired.pipeline.spec.scale):
        return None
    selector = f"{names.LABEL_PIPELINE}={desired.metadata.name},{LABEL_NODE_TYPE}=worker"
    return ScaleStatus(replicas=desired.pipeline.spec.scale.replicas, selector=selector)


def _ray_service(situation: Situation, observed: Observed) -> RayServiceStatus:
    return RayServiceStatus(
        name=situation.desired.metadata.name,
        active_cluster=observed.active_cluster or None,
        pending_cluster=observed.pending_cluster or None,
    )


def _url(metadata: Metadata, observed: Observed | None) -> str:
    """Where the pipeline answers: inside the cluster, or at its Gateway. Empty if it does not, or that is not known."""
    if not (observed and observed.ready):
        return ""
    if observed.is_incremental:
        return f"http://{observed.gateway.host}" if observed.gateway and observed.gateway.host else ""
    return f"http://{serve_service(metadata.name)}.{metadata.namespace}.svc:{names.SERVE_PORT}"


def _apps(situation: Situation, previous: Status, now: str) -> tuple[AppStatus, ...]:
    observed = situation.observed
    is_same = previous.observed_generation == situation.desired.metadata.generation
    before = {app.name: app for app in previous.apps} if is_same else {}
    url = _url(situation.desired.metadata, observed)
    return tuple(
        app_status(
            name,
            (observed.active.get(name) or observed.pending.get(name)) if observed else None,
            f"{url}{'' if route == '/' else route}" if url else None,
            before.get(name),
            now,
        )
        for name, route in situation.routes.items()
    )


def with_defect(previous: Status, verdict: Verdict, generation: int, now: str) -> Status:
    """The status so far, with a verdict on how applying failed: what it says of the newest generation is not known."""
    changed = {kind: _condition(kind, verdict, generation, previous, now) for kind in (Applied.TYPE, Ready.TYPE)}
    kept = tuple(item for item in previous.conditions if item.type not in changed)
    return previous.model_copy(update={"observed_generation": generation, "conditions": (*kept, *changed.values())})


def within_bounds(status: Status) -> Status:
    """The status with so much of the messages of apps and deployments as leaves it small. Conditions stay whole."""
    for most in _SHORTER:
        if len(json.dumps(status.written())) <= _LARGEST:
            return status
        apps = tuple(_shortened(app, most) for app in status.apps)
        status = status.model_copy(update={"apps": apps})
    return status


def _shortened(app: AppStatus, most: int) -> AppStatus:
    message = app.message[:most] if app.message else None
    deployments = tuple(
        item.model_copy(update={"message": item.message[:most] if item.message else None}) for item in app.deployments
    )
    last = app.last_failure and app.last_failure.model_copy(update={"message": app.last_failure.message[:most]})
    changed = {"message": message or None, "last_failure": last, "deployments": deployments if most else ()}
    return app.model_copy(update=changed)


def _condition(kind: str, verdict: Verdict, generation: int, previous: Status, now: str) -> Condition:
    """The condition, with the time at which its status last changed."""
    before = previous.condition(kind)
    changed = before is None or before.status != verdict.truth
    return Condition(
        type=kind,
        status=verdict.truth,
        reason=verdict.reason.word,
        message=verdict.message[:_LONGEST],
        observed_generation=generation,
        last_transition_time=now if changed or before is None else before.last_transition_time,
    )
