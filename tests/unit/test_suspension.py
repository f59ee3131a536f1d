"""A RayService that somebody else suspends, like Kueue: who it is, what the status says, and what a change does."""

from typing import Any

import pytest

from llmpipeline.api.status import Status
from llmpipeline.conditions import Applied, Verdict
from llmpipeline.effect import changes, effect_of
from llmpipeline.kuberay.service import observe
from llmpipeline.kuberay.suspension import suspended_by
from llmpipeline.names import FIELD_MANAGER, Manifest
from llmpipeline.status.judge import judge
from llmpipeline.status.situation import Situation
from support.kuberay.rayservices import cluster_of, edited, of_container, rayservice
from support.pipelines import HELLO, desired_of, pipeline

OF_SERVICE: Manifest = {"f:spec": {"f:suspend": {}}}
OF_CLUSTER: Manifest = {"f:spec": {"f:rayClusterConfig": {"f:suspend": {}}}}
QUEUE = {"kueue.x-k8s.io/queue-name": "team"}


def live(*owners: tuple[str, Manifest], cluster: bool = False, labels: dict[str, str] | None = None) -> Manifest:
    """A RayService that is suspended, as the API server returns it."""
    made = rayservice()
    if cluster:
        cluster_of(made)["suspend"] = True
    else:
        made["spec"]["suspend"] = True
    made["metadata"] |= {"managedFields": [{"manager": manager, "fieldsV1": owned} for manager, owned in owners]}
    made["metadata"]["labels"] = {**made["metadata"]["labels"], **(labels or {})}
    return made


US = (FIELD_MANAGER, OF_SERVICE)
WE_APPLY = (FIELD_MANAGER, {"f:spec": {"f:serveConfigV2": {}}})
HOLDERS: dict[str, tuple[Manifest, str]] = {
    "nobody": (rayservice(), ""),
    "rendered": (rayservice(suspend=True), ""),
    "this operator": (live(US), ""),
    "a person": (live(WE_APPLY, ("kubectl-patch", OF_SERVICE)), "kubectl-patch"),
    "both": (live(US, ("kubectl-patch", OF_SERVICE)), "kubectl-patch"),
    "Kueue": (live(WE_APPLY, ("kueue", OF_SERVICE), labels=QUEUE), "Kueue"),
    "Kueue, by the cluster": (live(WE_APPLY, ("kueue", OF_CLUSTER), cluster=True, labels=QUEUE), "Kueue"),
    # What a webhook sets when an object is created, nobody owns.
    "Kueue's webhook": (live(WE_APPLY, labels=QUEUE), "Kueue"),
    "a webhook": (live(WE_APPLY), "another field manager"),
    "fields that are none": (live(("x", {"f:spec": None})), "another field manager"),
}


@pytest.mark.parametrize(("service", "who"), HOLDERS.values(), ids=HOLDERS)
def test_who_suspends(service: Manifest, who: str) -> None:
    assert suspended_by(service) == who


@pytest.mark.parametrize("cluster", [False, True])
def test_a_change_takes_effect_when_they_let_it(cluster: bool) -> None:
    service = live(WE_APPLY, ("kueue", OF_CLUSTER if cluster else OF_SERVICE), cluster=cluster, labels=QUEUE)
    assert changes(service, rayservice()) == ()
    assert effect_of(service, rayservice()).message == "Nothing changes."
    effect = effect_of(service, edited(of_container("image", "other")))
    assert (effect.kind, effect.gpus_more, effect.interrupts) == ("Unchanged", 0, False)
    assert effect.message == "Kueue suspends it: nothing runs. The change takes effect when Kueue lets it start."


def test_what_serves_all_the_same_is_judged_as_ever() -> None:
    """KubeRay 1.7 gives `rayClusterConfig.suspend` to a Ray cluster only when it creates it."""
    service = live(WE_APPLY, ("kueue", OF_CLUSTER), cluster=True, labels=QUEUE)
    service["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert effect_of(service, edited(of_container("image", "other"))).kind == "NewCluster"


def status_of(service: Manifest, reason: str, *, ready: bool = False, **spec: Any) -> Status:
    wanted = desired_of(pipeline(HELLO, **spec))
    conditions = [{"type": "Ready", "status": str(ready), "reason": reason}]
    metadata = {**service["metadata"], "generation": 1}
    said = {"observedGeneration": 1, "conditions": conditions}
    observed = observe({**service, "metadata": metadata, "status": said})
    applied = Verdict(Applied.APPLIED, "The RayService is applied.")
    return judge(Situation(wanted, applied, observed), Status(), "2026-01-01T00:00:00Z")


def said_of(status: Status) -> dict[str, tuple[str, str]]:
    return {it.type: (it.status, it.reason) for it in status.conditions}


BY_KUEUE = live(WE_APPLY, ("kueue", OF_SERVICE), labels=QUEUE)
BY_KUEUE_CLUSTER = live(WE_APPLY, ("kueue", OF_CLUSTER), cluster=True, labels=QUEUE)


@pytest.mark.parametrize(
    ("service", "reason"), [(BY_KUEUE, "SuspendComplete"), (BY_KUEUE_CLUSTER, "Initializing")], ids=["top", "cluster"]
)
def test_the_status_says_that_kueue_has_not_admitted_it(service: Manifest, reason: str) -> None:
    status = status_of(service, reason)
    found = said_of(status)
    assert found["Ready"] == found["Available"] == found["Reconciling"] == ("False", "SuspendedByOther")
    assert found["Stalled"] == ("False", "NotStalled")
    ready = status.condition("Ready")
    assert ready
    assert ready.message.startswith("Kueue has not admitted it yet")
    assert status.stage is None


def test_it_goes_down() -> None:
    status = status_of(BY_KUEUE, "SuspendInProgress")
    assert said_of(status)["Reconciling"] == ("True", "Suspending")
    assert said_of(status)["Ready"] == ("False", "SuspendedByOther")


def test_somebody_else_has_a_name() -> None:
    status = status_of(live(WE_APPLY, ("kubectl-patch", OF_SERVICE)), "SuspendComplete")
    ready = status.condition("Ready")
    assert ready
    assert "kubectl-patch suspends the RayService, and not spec.suspend" in ready.message


def test_what_the_spec_asks_comes_first() -> None:
    status = status_of(live(US, ("kueue", OF_SERVICE), labels=QUEUE), "SuspendComplete", suspend=True)
    assert said_of(status)["Ready"] == ("False", "Suspended")


def test_what_serves_is_not_said_to_be_suspended() -> None:
    assert said_of(status_of(BY_KUEUE_CLUSTER, "", ready=True))["Available"][1] != "SuspendedByOther"
