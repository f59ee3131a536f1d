"""Our operator on a real API server. KubeRay is the fake here: `fake_kuberay` writes its status and no more."""

import json
import time
from collections.abc import Iterator

import pytest

from llmpipeline import names
from support.control_plane import Admin, OperatorProcess, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import (
    API,
    PLURAL,
    RAY,
    SERVICES,
    apply_sample,
    condition,
    pipeline,
    rayservice,
    sample,
    settle,
    versions,
    wait_for,
)
from support.kuberay.crds import kuberay_crds
from support.pipelines import desired_of

pytestmark = pytest.mark.usefixtures("operator")


def test_first_light(admin: Admin, namespace: str) -> None:
    created = admin.create(API, PLURAL, sample(namespace))
    service = eventually(lambda: rayservice(admin, namespace), 5, "the RayService")
    assert service
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (created["metadata"]["uid"], True)
    wait_for(admin, namespace, "Accepted", "True")
    wait_for(admin, namespace, "Applied", "True")

    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True", "AppsRunning")
    found = pipeline(admin, namespace)
    assert found["status"]["url"] == f"http://quickstart-serve-svc.{namespace}.svc:8000"
    assert found["status"]["readyApps"] == "2/2"
    assert "finalizers" not in found["metadata"]
    assert "annotations" not in found["metadata"]
    assert set(service["metadata"]["annotations"]) == {
        names.ANNOTATION_DIGEST,
        names.ANNOTATION_GENERATION,
        names.ANNOTATION_COMPLETE,
    }


def test_the_rendered_bytes_are_what_was_applied(admin: Admin, namespace: str) -> None:
    service = apply_sample(admin, namespace)
    manifest = desired_of(pipeline(admin, namespace)).service
    assert service["spec"]["serveConfigV2"] == manifest["spec"]["serveConfigV2"]
    manifest["metadata"]["annotations"] = service["metadata"]["annotations"]
    again = admin.apply(RAY, SERVICES, manifest, field_manager="llmpipeline-operator")
    assert again["metadata"]["resourceVersion"] == service["metadata"]["resourceVersion"]


def test_a_second_reconcile_and_a_restart_write_nothing(
    admin: Admin, namespace: str, operator: OperatorProcess
) -> None:
    apply_sample(admin, namespace)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")
    before = versions(admin, namespace)
    operator.restart()
    settle()
    assert versions(admin, namespace) == before


def test_killed_and_started_again_it_goes_on(admin: Admin, namespace: str, operator: OperatorProcess) -> None:
    operator.kill()
    admin.create(API, PLURAL, sample(namespace))
    operator.start()
    wait_for(admin, namespace, "Applied", "True")


def test_a_broken_edit_leaves_the_rayservice_as_it_was(admin: Admin, namespace: str) -> None:
    before = apply_sample(admin, namespace)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")
    # 4 GPUs in one Pod of a group that has 1: only the operator can see that.
    group = {"name": "small", "maxReplicas": 1, "accelerator": {"type": "L4", "count": 1}}
    document = sample(namespace)
    document["spec"]["workers"] = [group]
    document["spec"]["apps"][1]["openai"]["models"][0]["tensorParallelSize"] = 4
    admin.apply(API, PLURAL, document, field_manager="user", force=True)

    refused = wait_for(admin, namespace, "Accepted", "False", "DoesNotFit")
    assert "one replica needs 4 L4 GPUs" in refused["message"]
    assert "leave workers out" in refused["message"]
    wait_for(admin, namespace, "Applied", "False", "NotAccepted")
    wait_for(admin, namespace, "Stalled", "True", "DoesNotFit")
    wait_for(admin, namespace, "Ready", "False", "DoesNotFit")
    assert condition(admin, namespace, "Available")["status"] == "True", "what runs goes on running"
    after = rayservice(admin, namespace)
    assert after
    assert after["spec"] == before["spec"]
    assert pipeline(admin, namespace)["status"]["url"]

    del document["spec"]["workers"]
    admin.apply(API, PLURAL, document, field_manager="user", force=True)
    wait_for(admin, namespace, "Accepted", "True")


def test_a_hand_edit_is_taken_back(admin: Admin, namespace: str) -> None:
    before = apply_sample(admin, namespace)
    admin.merge_patch(RAY, SERVICES, namespace, "quickstart", {"spec": {"rayClusterConfig": {"rayVersion": "2.59.0"}}})

    def is_back() -> bool:
        found = rayservice(admin, namespace)
        return bool(found) and found["spec"] == before["spec"]  # type: ignore[index]

    assert eventually(is_back, 10, "the hand edit to be taken back")


def test_a_deleted_rayservice_comes_back(admin: Admin, namespace: str) -> None:
    before = apply_sample(admin, namespace)
    admin.delete(RAY, SERVICES, namespace, "quickstart")

    def is_back() -> bool:
        found = rayservice(admin, namespace)
        return bool(found) and found["metadata"]["uid"] != before["metadata"]["uid"]  # type: ignore[index]

    assert eventually(is_back, 10, "the RayService to come back")


def test_somebody_elses_rayservice_is_not_touched(admin: Admin, namespace: str) -> None:
    template = {"spec": {"containers": [{"name": "ray", "image": "theirs"}]}}
    theirs = {
        "apiVersion": RAY,
        "kind": "RayService",
        "metadata": {"name": "quickstart", "namespace": namespace},
        "spec": {
            "serveConfigV2": "",
            "rayClusterConfig": {"headGroupSpec": {"rayStartParams": {}, "template": template}},
        },
    }
    before = admin.create(RAY, SERVICES, theirs)
    admin.create(API, PLURAL, sample(namespace))
    taken = wait_for(admin, namespace, "Applied", "False", "NameTaken")
    assert "rename this pipeline" in taken["message"]
    after = rayservice(admin, namespace)
    assert after
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_an_app_that_fails_is_named(admin: Admin, namespace: str) -> None:
    apply_sample(admin, namespace)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")
    kuberay.break_app(admin, namespace, "quickstart", "chat", "Traceback\nValueError: no such model\n")
    failed = wait_for(admin, namespace, "Ready", "False", "AppsFailed")
    assert "app chat is" in failed["message"]
    assert "ValueError: no such model" in failed["message"]


def test_while_a_new_cluster_comes_up_the_old_one_serves(admin: Admin, namespace: str) -> None:
    apply_sample(admin, namespace)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True", "AppsRunning")
    kuberay.start_upgrade(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Reconciling", "True", "Upgrading")
    wait_for(admin, namespace, "Available", "True", "ServingOldCluster")
    wait_for(admin, namespace, "Ready", "False", "Upgrading")
    kuberay.finish_upgrade(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True", "AppsRunning")


def test_a_deleted_pipeline_leaves_only_what_its_owner_reference_covers(admin: Admin, namespace: str) -> None:
    service = apply_sample(admin, namespace)
    uid = pipeline(admin, namespace)["metadata"]["uid"]
    admin.delete(API, PLURAL, namespace, "quickstart")
    assert admin.find(API, PLURAL, namespace, "quickstart") is None, "no finalizer keeps it"
    settle()
    # There is no garbage collector here: what it would collect is what names the pipeline as its owner.
    (left,) = admin.list(RAY, SERVICES, namespace)
    assert left["metadata"]["resourceVersion"] == service["metadata"]["resourceVersion"]
    assert [owner["uid"] for owner in left["metadata"]["ownerReferences"]] == [uid]


def test_a_head_that_does_not_start_is_told(admin: Admin, namespace: str) -> None:
    """No event of the RayService announces it: KubeRay writes it into the RayCluster alone (seen with 1.7.0)."""
    apply_sample(admin, namespace)
    kuberay.make_initializing(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Available", "False", "NoEndpoints")
    cluster = kuberay.make_raycluster(admin, namespace, "quickstart")["metadata"]["name"]
    not_ready = {
        "type": "HeadPodReady",
        "status": "False",
        "reason": "ImagePullBackOff",
        "message": "ray-head: Back-off pulling image nobody/has:it",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    admin.merge_patch(RAY, "rayclusters", namespace, cluster, {"status": {"conditions": [not_ready]}}, "status")
    found = eventually(
        lambda: (
            condition(admin, namespace, "Ready").get("reason") == "PodsFailing" and condition(admin, namespace, "Ready")
        ),
        40,
        "the condition",
    )
    assert "ImagePullBackOff" in found["message"]


@pytest.fixture
def old_kuberay(admin: Admin) -> Iterator[None]:
    """A KubeRay whose CRD does not know a field that we render, as one older than 1.7 would."""
    name = "rayservices.ray.io"
    whole = admin.get("apiextensions.k8s.io/v1", "customresourcedefinitions", None, name)
    if not kuberay_crds().own:
        pytest.skip("the stand-in for KubeRay's CRDs accepts any spec")
    older = json.loads(json.dumps(whole))
    for version in older["spec"]["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        spec["rayClusterConfig"]["properties"].pop("authOptions", None)
    for manifest in (whole, older):
        manifest["metadata"] = {"name": name}
        manifest.pop("status")
    crd = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
    admin.merge_patch(*crd, None, name, {"spec": older["spec"]})
    time.sleep(1)  # the API server takes the new schema a moment after it has answered
    yield
    admin.merge_patch(*crd, None, name, {"spec": whole["spec"]})
    time.sleep(1)


def test_a_kuberay_too_old_for_a_field_is_a_condition(admin: Admin, namespace: str, old_kuberay: None) -> None:
    admin.create(API, PLURAL, sample(namespace))
    refused = wait_for(admin, namespace, "Applied", "False", "Rejected")
    assert "authOptions" in refused["message"]
