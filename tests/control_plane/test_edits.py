"""Edits of a live pipeline on a real API server: what they did is said, and what KubeRay leaves out is carried over.

KubeRay is the fake of `fake_kuberay`: it never changes a RayCluster, as the real one does not for these edits.
"""

from typing import Any

import pytest

from support.control_plane import Admin, ApiError, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL, apply_sample, pipeline, rayservice, sample, settle, wait_for

pytestmark = pytest.mark.usefixtures("operator")

RAY = "ray.io/v1"


def serve(admin: Admin, namespace: str) -> str:
    """A live pipeline; returns the name of its RayCluster."""
    apply_sample(admin, namespace)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")
    raycluster = kuberay.make_raycluster(admin, namespace, "quickstart")
    kuberay.run_pods(admin, raycluster)
    return str(raycluster["metadata"]["name"])


def edit(admin: Admin, namespace: str, document: dict[str, Any]) -> None:
    admin.apply(API, PLURAL, document, field_manager="user", force=True)


def last_edit(admin: Admin, namespace: str) -> dict[str, Any]:
    """What the status says of the newest generation's edit, or nothing yet."""
    found = pipeline(admin, namespace)
    said: dict[str, Any] = found.get("status", {}).get("lastEdit", {})
    return said if said.get("observedGeneration") == found["metadata"]["generation"] else {}


def wait_for_edit(admin: Admin, namespace: str, effect: str) -> str:
    assert eventually(lambda: last_edit(admin, namespace).get("effect") == effect, 10, f"an edit that is {effect}")
    return str(last_edit(admin, namespace)["message"])


def test_bounds_and_tolerations_reach_the_live_cluster(admin: Admin, namespace: str) -> None:
    cluster = serve(admin, namespace)
    admin.merge_patch(RAY, "rayclusters", namespace, cluster, {"metadata": {"annotations": {"autoscaler": "was here"}}})
    document = sample(namespace)
    document["spec"]["apps"][1]["openai"]["models"][0]["autoscaling"]["maxReplicas"] = 7
    document["spec"]["workerDefaults"] = {"tolerations": [{"key": "team", "operator": "Exists"}]}
    edit(admin, namespace, document)

    def live() -> Any:
        (group,) = admin.get(RAY, "rayclusters", namespace, cluster)["spec"]["workerGroupSpecs"]
        return group if group["maxReplicas"] == 8 else None  # one more in an update

    group = eventually(live, 10, "the new maximum in the live RayCluster")
    assert {"key": "team", "operator": "Exists"} in group["template"]["spec"]["tolerations"]
    assert (group["replicas"], group["minReplicas"]) == (1, 1)
    assert "worker group l4-x1" in wait_for_edit(admin, namespace, "LivePatch")
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")


def test_a_cluster_that_is_about_to_be_replaced_is_not_patched(admin: Admin, namespace: str) -> None:
    cluster = serve(admin, namespace)
    before = admin.get(RAY, "rayclusters", namespace, cluster)
    document = sample(namespace)
    document["spec"]["ray"]["image"] = "other:1"
    document["spec"]["apps"][1]["openai"]["models"][0]["autoscaling"]["maxReplicas"] = 7
    edit(admin, namespace, document)
    message = wait_for_edit(admin, namespace, "NewCluster")
    assert "1 L4 GPU more" in message
    settle()
    assert admin.get(RAY, "rayclusters", namespace, cluster)["metadata"] == before["metadata"]


def test_an_edit_of_the_serve_config_is_in_place(admin: Admin, namespace: str) -> None:
    serve(admin, namespace)
    document = sample(namespace)
    document["spec"]["apps"][0]["hello"]["message"] = "Changed"
    edit(admin, namespace, document)
    assert "hello" in wait_for_edit(admin, namespace, "InPlace")
    document["metadata"]["labels"] = {"only": "a-label"}
    edit(admin, namespace, document)
    settle()
    assert last_edit(admin, namespace)["effect"] == "InPlace", "what is no edit of the spec leaves it as it was"


SURROUNDED = {
    "disruption": {"minAvailableWorkers": 1},
    "network": {"policy": {"egress": "Closed"}, "ingress": {"host": "a.example"}},
}
MADE = [
    ("policy/v1", "poddisruptionbudgets", "quickstart"),
    ("networking.k8s.io/v1", "networkpolicies", "quickstart"),
    ("networking.k8s.io/v1", "networkpolicies", "quickstart.head"),
    ("networking.k8s.io/v1", "ingresses", "quickstart"),
]


def made(admin: Admin, namespace: str) -> list[bool]:
    return [admin.find(api, plural, namespace, name) is not None for api, plural, name in MADE]


def test_what_surrounds_it_comes_and_goes(admin: Admin, namespace: str) -> None:
    document = sample(namespace)
    document["spec"] |= SURROUNDED
    uid = admin.create(API, PLURAL, document)["metadata"]["uid"]
    wait_for(admin, namespace, "Applied", "True")
    assert all(made(admin, namespace))
    budget = admin.get("policy/v1", "poddisruptionbudgets", namespace, "quickstart")
    assert [owner["uid"] for owner in budget["metadata"]["ownerReferences"]] == [uid]
    # One of the same name that is somebody else's stays.
    theirs = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}
    metadata = {"name": "theirs", "namespace": namespace}
    admin.create("policy/v1", "poddisruptionbudgets", {**theirs, "metadata": metadata, "spec": {"minAvailable": 1}})

    edit(admin, namespace, sample(namespace))
    for name in SURROUNDED:
        document["spec"].pop(name)
    admin.merge_patch(API, PLURAL, namespace, "quickstart", {"spec": dict.fromkeys(SURROUNDED)})
    assert eventually(lambda: not any(made(admin, namespace)), 10, "all of it to be gone")
    assert admin.find("policy/v1", "poddisruptionbudgets", namespace, "theirs")
    assert rayservice(admin, namespace)


def test_without_the_prometheus_operator_it_serves_all_the_same(admin: Admin, namespace: str) -> None:
    document = sample(namespace)
    document["spec"]["monitoring"] = {"podMonitor": {}}
    admin.create(API, PLURAL, document)
    refused = wait_for(admin, namespace, "Applied", "False", "PartlyApplied")
    assert "PodMonitor: this cluster has no such resource" in refused["message"]
    assert rayservice(admin, namespace)


def test_kubectl_scale(admin: Admin, namespace: str) -> None:
    document = sample(namespace)
    document["spec"]["scale"] = {"app": "hello", "replicas": 2, "maxReplicas": 4}
    admin.create(API, PLURAL, document)
    wait_for(admin, namespace, "Applied", "True")

    def scale() -> dict[str, Any]:
        path = f"/apis/{API}/namespaces/{namespace}/{PLURAL}/quickstart/scale"
        found: dict[str, Any] = admin.request("GET", path)
        return found

    assert eventually(lambda: scale()["status"].get("replicas") == 2, 10, "the replicas in the scale subresource")
    assert scale()["status"]["selector"] == "serving.llmpipeline.dev/pipeline=quickstart,ray.io/node-type=worker"
    before = rayservice(admin, namespace)
    assert before
    changed = scale() | {"spec": {"replicas": 4}}
    path = f"/apis/{API}/namespaces/{namespace}/{PLURAL}/quickstart/scale"
    admin.request("PUT", path, body=changed)
    assert wait_for_edit(admin, namespace, "InPlace")
    after = rayservice(admin, namespace)
    assert after
    assert '"num_replicas": 4' in after["spec"]["serveConfigV2"]
    assert after["spec"]["rayClusterConfig"] == before["spec"]["rayClusterConfig"]
    with pytest.raises(ApiError, match="between minReplicas and maxReplicas"):
        admin.request("PUT", path, body=scale() | {"spec": {"replicas": 5}})


def test_suspended(admin: Admin, namespace: str) -> None:
    serve(admin, namespace)
    admin.merge_patch(API, PLURAL, namespace, "quickstart", {"spec": {"suspend": True}})
    assert wait_for_edit(admin, namespace, "Suspend")
    service = rayservice(admin, namespace)
    assert service
    assert service["spec"]["suspend"] is True
    kuberay.suspend(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "False", "Suspended")
    wait_for(admin, namespace, "Reconciling", "False", "Suspended")
    admin.merge_patch(API, PLURAL, namespace, "quickstart", {"spec": {"suspend": None}})
    assert wait_for_edit(admin, namespace, "Resume")
    resumed = rayservice(admin, namespace)
    assert resumed
    assert "suspend" not in resumed["spec"]
