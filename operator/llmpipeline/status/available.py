"""Whether requests are answered, perhaps still by the version before. KubeRay's own word counts only if it is no."""

from llmpipeline.conditions import Available, Verdict
from llmpipeline.kuberay.service import RUNNING, SUSPENSION, AppState, Observed
from llmpipeline.status.situation import Chain, Situation, of_service
from llmpipeline.status.words import failures, fault, gateway_fault, suspension


def not_applied(situation: Situation) -> Verdict | None:
    """There is no RayService of this pipeline."""
    return None if situation.observed else Verdict(Available.NOT_APPLIED, situation.applied.message)


@of_service
def suspended_by_other(situation: Situation, observed: Observed) -> Verdict | None:
    """Nothing runs, as somebody else asks."""
    text = "" if situation.asks_to_suspend else suspension(observed)
    return Verdict(Available.SUSPENDED_BY_OTHER, text) if text else None


@of_service
def suspended(_: Situation, observed: Observed) -> Verdict | None:
    """Nothing runs, as asked."""
    if observed.reason not in SUSPENSION:
        return None
    return Verdict(Available.SUSPENDED, "Nothing runs, as spec.suspend asks.")


@of_service
def failed_before_serving(_: Situation, observed: Observed) -> Verdict | None:
    """Apps of a cluster that has no endpoints yet."""
    failed = "" if observed.ready else failures(observed.newest)
    return Verdict(Available.APPS_FAILED, failed) if failed else None


@of_service
def pods_failing(_: Situation, observed: Observed) -> Verdict | None:
    """Pods cannot be created, or do not start."""
    if observed.ready or not observed.is_failing:
        return None
    return Verdict(Available.PODS_FAILING, f"No Pod takes requests. {fault(observed)}")


@of_service
def pods_pending(_: Situation, observed: Observed) -> Verdict | None:
    """Pods wait for a node."""
    if observed.ready or not observed.is_waiting:
        return None
    return Verdict(Available.PODS_PENDING, f"No Pod takes requests yet. {fault(observed)}")


@of_service
def no_endpoints(_: Situation, observed: Observed) -> Verdict | None:
    """Nothing is known to be wrong yet."""
    return None if observed.ready else Verdict(Available.NO_ENDPOINTS, "No Pod takes requests yet.")


@of_service
def gateway_not_ready(_: Situation, observed: Observed) -> Verdict | None:
    """Pods take requests, and nobody brings them any."""
    text = gateway_fault(observed)
    return Verdict(Available.GATEWAY_NOT_READY, f"No request comes in. {text}") if text else None


@of_service
def serving_old_cluster(_: Situation, observed: Observed) -> Verdict | None:
    """During an upgrade nobody reports the apps of the cluster that serves."""
    if not observed.upgrading or observed.active:
        return None
    message = (
        f"The cluster {observed.active_cluster} serves, as before the change; KubeRay does not report its apps now."
    )
    return Verdict(Available.SERVING_OLD_CLUSTER, message)


@of_service
def failed(_: Situation, observed: Observed) -> Verdict | None:
    """Apps of the cluster that serves, but for those that serve as before their change."""
    what = failures({name: app for name, app in observed.active.items() if not app.serves_version_before})
    return Verdict(Available.APPS_FAILED, what) if what else None


def no_app_known(situation: Situation) -> Verdict | None:
    """A spec that cannot work, over a RayService that names no app."""
    return None if situation.routes else Verdict(Available.APPS_DEPLOYING, "No app is known to run.")


@of_service
def deploying(situation: Situation, observed: Observed) -> Verdict | None:
    """Apps that are not running yet, or not again."""
    active = observed.active
    other = [name for name in situation.routes if name not in active or not _answers(active[name])]
    if not other:
        return None
    message = f"Being deployed: {', '.join(other)}. Until then KubeRay does not report whether they answer."
    return Verdict(Available.APPS_DEPLOYING, message)


def _answers(app: AppState) -> bool:
    return app.state == RUNNING or app.serves_version_before


@of_service
def serving_old_version(_: Situation, observed: Observed) -> Verdict | None:
    """Every app answers, but some as before a change that failed."""
    old = [name for name, app in observed.active.items() if app.serves_version_before]
    if not old:
        return None
    message = f"As before their last change, because the new replicas do not start: {', '.join(old)}. See Stalled."
    return Verdict(Available.SERVING_OLD_VERSION, message)


@of_service
def running(_: Situation, __: Observed) -> Verdict:
    """All else has been ruled out."""
    return Verdict(Available.APPS_RUNNING, "Every app runs.")


# From `gateway_not_ready` on, Pods take requests.
AVAILABLE: Chain = (
    not_applied,
    suspended_by_other,
    suspended,
    failed_before_serving,
    pods_failing,
    pods_pending,
    no_endpoints,
    gateway_not_ready,
    serving_old_cluster,
    failed,
    no_app_known,
    deploying,
    serving_old_version,
    running,
)
