"""What happens at Pods is in the status, soon, and what happens at other people's Pods is not.

The API server is real. What the scheduler, the kubelet and KubeRay would write, these tests write.
"""

import time
from typing import Any

import pytest

from support.control_plane import Admin, OperatorProcess, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL, apply_sample, condition, pipeline, wait_for
from support.e2e.corpus import NAME, Fault, corpus

pytestmark = pytest.mark.usefixtures("operator")
SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
NO_GPU = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."
UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [{**SCHEDULED, "status": "False", "reason": "Unschedulable", "message": NO_GPU}],
}


def container(name: str, **state: Any) -> dict[str, Any]:
    return {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 3, **state}


def waits(name: str, reason: str, message: str) -> dict[str, Any]:
    said = container(name, state={"waiting": {"reason": reason, "message": message}})
    return {"phase": "Pending", "conditions": [SCHEDULED], "containerStatuses": [said]}


@pytest.fixture
def raycluster(admin: Admin, namespace: str, operator: OperatorProcess) -> dict[str, Any]:
    """Of a pipeline that comes up, once the operator has seen it."""
    apply_sample(admin, namespace)
    kuberay.make_initializing(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "False", "Initializing")
    return kuberay.make_raycluster(admin, namespace, "quickstart")


def ready_says(admin: Admin, namespace: str, reason: str, words: str, seconds: float = 10) -> str:
    def probe() -> str:
        found = condition(admin, namespace, "Ready")
        return str(found["message"]) if found.get("reason") == reason and words in found["message"] else ""

    return eventually(probe, seconds, f"Ready to say {reason}: {words}")


def test_a_worker_that_no_node_can_run(admin: Admin, namespace: str, raycluster: dict[str, Any]) -> None:
    for number in range(2):
        kuberay.make_pod(admin, raycluster, "gpus", number, UNSCHEDULABLE)
    message = ready_says(admin, namespace, "PodsPending", "2 of 2 Pods of worker group gpus: Unschedulable: " + NO_GPU)
    assert message.count("Unschedulable") == 1
    assert pipeline(admin, namespace)["status"]["stage"]["name"] == "Scheduling"


def test_the_cause_changes_as_the_pod_goes_on(admin: Admin, namespace: str, raycluster: dict[str, Any]) -> None:
    pod = kuberay.make_pod(admin, raycluster, "gpus", 0, UNSCHEDULABLE)["metadata"]["name"]
    ready_says(admin, namespace, "PodsPending", NO_GPU)
    kuberay.set_pod_status(admin, namespace, pod, waits("ray-worker", "ErrImagePull", "failed to resolve: 401"))
    ready_says(admin, namespace, "PodsFailing", "container ray-worker: ErrImagePull: failed to resolve: 401")
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": ""}}
    crashes = container("ray-worker", state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=killed)
    kuberay.set_pod_status(admin, namespace, pod, {"phase": "Running", "containerStatuses": [crashes]})
    ready_says(admin, namespace, "PodsFailing", "container ray-worker ended 3 times, last with OOMKilled")
    runs = {**container("ray-worker", state={"running": {"startedAt": "2026-01-01T00:00:00Z"}}), "restartCount": 0}
    kuberay.set_pod_status(
        admin, namespace, pod, {"phase": "Running", "conditions": [SCHEDULED], "containerStatuses": [runs]}
    )
    wait_for(admin, namespace, "Ready", "False", "Initializing")
    assert pipeline(admin, namespace)["status"]["stage"]["name"] == "StartingApps"


def test_a_volume_that_cannot_be_mounted_stands_in_an_event_alone(
    admin: Admin, namespace: str, raycluster: dict[str, Any]
) -> None:
    status = waits("ray-head", "ContainerCreating", "")
    pod = kuberay.make_pod(admin, raycluster, "", 0, status)["metadata"]
    wait_for(admin, namespace, "Reconciling", "True", "Initializing")
    said = {"type": "Warning", "reason": "FailedMount", "message": 'MountVolume.SetUp failed: secret "tls" not found'}
    about = {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod["name"], "uid": pod["uid"]}
    event = {"metadata": {"name": "mount", "namespace": namespace}, "involvedObject": about, **said}
    admin.create("v1", "events", event)
    ready_says(admin, namespace, "PodsFailing", 'head Pod: FailedMount: MountVolume.SetUp failed: secret "tls"', 40)


def test_pods_of_somebody_else_with_all_labels_of_ours(
    admin: Admin, namespace: str, raycluster: dict[str, Any]
) -> None:
    stranger = {**raycluster, "metadata": {**raycluster["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}}
    for number in range(30):
        kuberay.make_pod(admin, stranger, "theirs", number, waits("ray-worker", "ErrImagePull", "forged"))
    kuberay.make_pod(admin, raycluster, "gpus", 0, UNSCHEDULABLE)
    message = ready_says(admin, namespace, "PodsPending", NO_GPU)
    assert "forged" not in message
    assert "1 of 1 Pods" in message
    admin.delete_all("v1", "pods", namespace)


def test_messages_of_a_megabyte_with_colours(admin: Admin, namespace: str, raycluster: dict[str, Any]) -> None:
    long = "\x1b[31mno such image\x1b[0m\x07" + "x" * 900_000
    kuberay.make_pod(admin, raycluster, "gpus", 0, waits("ray-worker", "ErrImagePull", long))
    message = ready_says(admin, namespace, "PodsFailing", "ErrImagePull: no such image")
    assert message.isprintable()
    assert len(str(pipeline(admin, namespace)["status"])) < 32 * 1024


def test_apps_that_run_without_all_workers_are_available_and_not_ready(
    admin: Admin, namespace: str, raycluster: dict[str, Any]
) -> None:
    """An app that needs no CPUs runs on the head; what keeps the workers from starting would never be seen."""
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "False", "PodsStarting")
    group = raycluster["spec"]["workerGroupSpecs"][0]["groupName"]
    pod = kuberay.make_pod(admin, raycluster, group, 9, UNSCHEDULABLE)["metadata"]["name"]
    ready_says(admin, namespace, "PodsPending", NO_GPU)
    assert condition(admin, namespace, "Available")["status"] == "True"
    admin.delete("v1", "pods", namespace, pod)
    kuberay.run_pods(admin, raycluster)
    wait_for(admin, namespace, "Ready", "True", "AppsRunning")


def test_each_transition_is_an_event_once(admin: Admin, namespace: str, raycluster: dict[str, Any]) -> None:
    kuberay.make_pod(admin, raycluster, "gpus", 0, UNSCHEDULABLE)
    ready_says(admin, namespace, "PodsPending", NO_GPU)
    kuberay.run_pods(admin, raycluster)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")

    def reasons() -> list[str]:
        events = admin.list("v1", "events", namespace)
        return sorted(it["reason"] for it in events if it["involvedObject"]["kind"] == "LLMPipeline")

    eventually(lambda: len(reasons()) >= 3, 10, "the events")
    time.sleep(1)
    assert reasons() == ["AppsRunning", "Initializing", "PodsPending"]
    (pending,) = (it for it in admin.list("v1", "events", namespace) if it["reason"] == "PodsPending")
    assert NO_GPU in pending["message"]
    assert pending["involvedObject"]["uid"] == pipeline(admin, namespace)["metadata"]["uid"]


@pytest.mark.parametrize("fault", [it for it in corpus() if it.control_plane], ids=lambda it: it.name)
def test_faults_of_the_corpus_that_need_no_ray(admin: Admin, namespace: str, fault: Fault) -> None:
    """The others are made on a cluster with KubeRay, by `make truth`."""
    for manifest in fault.surroundings(namespace):
        plural = {"RayService": "rayservices", "NetworkPolicy": "networkpolicies"}[manifest["kind"]]
        admin.create(manifest["apiVersion"], plural, manifest)
    admin.create(API, PLURAL, fault.pipeline(namespace, "registry.example/ray:1"))

    def named() -> bool:
        conditions = admin.get(API, PLURAL, namespace, NAME).get("status", {}).get("conditions", ())
        ready = next((it for it in conditions if it["type"] == "Ready"), {})
        return fault.is_named_by(ready.get("reason", ""), ready.get("message", "")) and ready["status"] == "False"

    eventually(named, 15, f"Ready to name the cause of {fault.name}")


def test_a_settled_pipeline_asks_for_no_pods(
    admin: Admin, namespace: str, raycluster: dict[str, Any], operator: OperatorProcess
) -> None:
    kuberay.run_pods(admin, raycluster)
    kuberay.make_ready(admin, namespace, "quickstart")
    wait_for(admin, namespace, "Ready", "True")
    version = pipeline(admin, namespace)["metadata"]["resourceVersion"]
    pod = kuberay.make_pod(admin, raycluster, "gpus", 0, UNSCHEDULABLE)["metadata"]["name"]
    kuberay.set_pod_status(admin, namespace, pod, waits("ray-worker", "ErrImagePull", "no"))
    time.sleep(4)
    assert pipeline(admin, namespace)["metadata"]["resourceVersion"] == version
    admin.delete_all(API, PLURAL, namespace)
