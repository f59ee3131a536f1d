"""A pipeline in a queue of Kueue: its label reaches the RayService, and what Kueue suspends stays suspended.

No Kueue runs here. A client with Kueue's field manager does what Kueue's documentation and code say that it does to a
RayService: it suspends it when it is created, and ends that when it admits it.
https://kueue.sigs.k8s.io/docs/tasks/run/rayservices/
"""

from typing import Any

import pytest

from support.control_plane import Admin, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.admin import resource_path
from support.control_plane.quickstart import (
    API,
    PLURAL,
    RAY,
    SERVICES,
    pipeline,
    rayservice,
    sample,
    settle,
    wait_for,
)

pytestmark = pytest.mark.usefixtures("operator")

QUEUE = "kueue.x-k8s.io/queue-name"


def queued(namespace: str) -> dict[str, Any]:
    document = sample(namespace)
    document["metadata"]["labels"] = {QUEUE: "team", "other": "label"}
    return document


def start(admin: Admin, namespace: str) -> None:
    admin.create(API, PLURAL, queued(namespace))
    wait_for(admin, namespace, "Applied", "True")


def as_kueue(admin: Admin, namespace: str, spec: dict[str, Any], manager: str = "kueue") -> None:
    path = resource_path(RAY, SERVICES, namespace, "quickstart")
    admin.request("PATCH", path, {"fieldManager": manager}, {"spec": spec}, "application/merge-patch+json")


def live(admin: Admin, namespace: str) -> dict[str, Any]:
    found = rayservice(admin, namespace)
    assert found
    return found


def labels_of(template: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = template["template"]["metadata"]["labels"]
    return found


def test_the_queue_reaches_the_rayservice_and_not_the_pods(admin: Admin, namespace: str) -> None:
    start(admin, namespace)
    service = live(admin, namespace)
    assert service["metadata"]["labels"][QUEUE] == "team"
    assert "other" not in service["metadata"]["labels"]
    cluster = service["spec"]["rayClusterConfig"]
    for part in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert QUEUE not in labels_of(part)


def test_another_queue_is_passed_on_though_the_spec_is_the_same(admin: Admin, namespace: str) -> None:
    start(admin, namespace)
    before = live(admin, namespace)["metadata"]["generation"]
    patch = {"metadata": {"labels": {QUEUE: "other-team"}}}
    admin.merge_patch(API, PLURAL, namespace, "quickstart", patch)
    eventually(lambda: live(admin, namespace)["metadata"]["labels"][QUEUE] == "other-team", 10, "the other queue")
    assert live(admin, namespace)["metadata"]["generation"] == before
    admin.merge_patch(API, PLURAL, namespace, "quickstart", {"metadata": {"labels": {QUEUE: None}}})
    eventually(lambda: QUEUE not in live(admin, namespace)["metadata"]["labels"], 10, "no queue")


HOLDS = {
    "spec.suspend": ({"suspend": True}, {"suspend": False}),
    "spec.rayClusterConfig.suspend": (
        {"rayClusterConfig": {"suspend": True}},
        {"rayClusterConfig": {"suspend": False}},
    ),
}


@pytest.mark.parametrize(("holds", "admits"), HOLDS.values(), ids=["service", "cluster"])
def test_kueue_holds_it_and_then_admits_it(
    admin: Admin, namespace: str, holds: dict[str, Any], admits: dict[str, Any]
) -> None:
    start(admin, namespace)
    as_kueue(admin, namespace, holds)
    if "suspend" in holds:
        kuberay.suspend(admin, namespace, "quickstart")
    else:
        kuberay.make_initializing(admin, namespace, "quickstart", {})
    ready = wait_for(admin, namespace, "Ready", "False", "SuspendedByOther")
    assert ready["message"].startswith("Kueue has not admitted it yet")
    wait_for(admin, namespace, "Reconciling", "False", "SuspendedByOther")
    wait_for(admin, namespace, "Available", "False", "SuspendedByOther")

    # A change of the spec is applied, and nobody is resumed by it.
    document = queued(namespace)
    document["spec"]["ray"]["image"] = "registry.example/other:1"
    admin.apply(API, PLURAL, document, field_manager="user", force=True)
    said = eventually(lambda: _edit(admin, namespace), 10, "what the change did")
    assert said["effect"] == "Unchanged"
    assert "The change takes effect when Kueue lets it start." in said["message"]
    settle()
    spec = live(admin, namespace)["spec"]
    assert spec.get("suspend") or spec["rayClusterConfig"].get("suspend")

    as_kueue(admin, namespace, admits)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")
    spec = live(admin, namespace)["spec"]
    assert [spec.get("suspend", False), spec["rayClusterConfig"].get("suspend", False)] == [False, False]


def _edit(admin: Admin, namespace: str) -> dict[str, Any]:
    found = pipeline(admin, namespace)
    said: dict[str, Any] = found["status"].get("lastEdit", {})
    return said if said.get("observedGeneration") == found["metadata"]["generation"] else {}


def test_somebody_who_is_not_kueue_is_named(admin: Admin, namespace: str) -> None:
    admin.create(API, PLURAL, sample(namespace))
    wait_for(admin, namespace, "Applied", "True")
    as_kueue(admin, namespace, {"suspend": True}, manager="night-shift")
    kuberay.suspend(admin, namespace, "quickstart")
    ready = wait_for(admin, namespace, "Ready", "False", "SuspendedByOther")
    assert ready["message"].startswith("night-shift suspends the RayService")


def test_what_the_pipeline_asks_is_still_the_operators(admin: Admin, namespace: str) -> None:
    start(admin, namespace)
    admin.merge_patch(API, PLURAL, namespace, "quickstart", {"spec": {"suspend": True}})
    eventually(lambda: live(admin, namespace)["spec"].get("suspend"), 10, "the suspension")
    kuberay.suspend(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "False", "Suspended")
    admin.merge_patch(API, PLURAL, namespace, "quickstart", {"spec": {"suspend": None}})
    eventually(lambda: "suspend" not in live(admin, namespace)["spec"], 10, "the end of it")
    wait_for(admin, namespace, "Applied", "True")
