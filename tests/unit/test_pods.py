"""Why Pods do not run, in the words of those who know: one sentence for each cause, and none that is wrong."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmpipeline import desired
from llmpipeline.api.status import AppStatus, FailureStatus, StageStatus, Status
from llmpipeline.conditions import Applied, Verdict
from llmpipeline.kuberay.pods import Cause, PodsSeen, pods_seen
from llmpipeline.kuberay.service import observe
from llmpipeline.kuberay.text import last_words, plain
from llmpipeline.status.judge import judge
from llmpipeline.status.situation import Situation
from support.pipelines import HELLO, pipeline

NO_L4 = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available."
SCHEDULED = {"type": "PodScheduled", "status": "True"}


def pod(group: str = "small", number: int = 0, **status: Any) -> dict[str, Any]:
    labels = {"ray.io/node-type": "worker" if group else "head", "ray.io/group": group or "headgroup"}
    metadata = {"name": f"a-{group}-{number}", "uid": f"{group}-{number}", "labels": labels}
    return {"metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"conditions": [SCHEDULED], **status}}


def container(name: str = "ray-worker", *, ready: bool = False, restarts: int = 0, **states: Any) -> dict[str, Any]:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": {}, **states}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return container(state={"waiting": {"reason": reason, "message": message}}, **more)


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def unscheduled(group: str, number: int, message: str = NO_L4) -> dict[str, Any]:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(group, number, phase="Pending", conditions=[said])


RUNS = {"phase": "Running", "containerStatuses": [container(ready=True, state={"running": {}})]}
TRACEBACK = "Traceback (most recent call last):\n  File x\nredis.exceptions.ConnectionError: no route to r:6379\n"


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (
            pod(containerStatuses=[waiting("ImagePullBackOff", 'Back-off pulling image "no/such:1"')]),
            'container ray-worker: ImagePullBackOff: Back-off pulling image "no/such:1"',
        ),
        (
            pod(containerStatuses=[waiting("CreateContainerConfigError", 'secret "hf" not found')]),
            'container ray-worker: CreateContainerConfigError: secret "hf" not found',
        ),
        (
            pod(containerStatuses=[waiting("CrashLoopBackOff", "back-off 5m0s", restarts=7,
                                           lastState=ended(137, "OOMKilled"))]),
            "container ray-worker ended 7 times, last with OOMKilled, exit code 137",
        ),
        (
            pod(containerStatuses=[waiting("CrashLoopBackOff", restarts=1, lastState=ended(1, message=TRACEBACK))]),
            "container ray-worker ended with exit code 1: redis.exceptions.ConnectionError: no route to r:6379",
        ),
        (
            pod(phase="Failed", containerStatuses=[container(state=ended(139))]),
            "container ray-worker ended with exit code 139",
        ),
        (
            pod(initContainerStatuses=[{**waiting("CrashLoopBackOff", lastState=ended(2, message="no disk")),
                                        "name": "load"}]),
            "container load ended with exit code 2: no disk",
        ),
        (
            pod(containerStatuses=[waiting("PostStartHookError", "command '/bin/no' exited with 126")]),
            "container ray-worker: PostStartHookError: command '/bin/no' exited with 126",
        ),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            "Evicted: The node was low on resource: memory.",
        ),
        (
            pod(phase="Failed", reason="OutOfnvidia.com/gpu", message="Node didn't have enough resource"),
            "OutOfnvidia.com/gpu: Node didn't have enough resource",
        ),
        (
            pod(conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                             "message": "default-scheduler: preempting to accommodate a higher priority pod"}]),
            "PreemptionByScheduler: default-scheduler: preempting to accommodate a higher priority pod",
        ),
        (
            pod(phase="Running", conditions=[SCHEDULED, {"type": "Ready", "status": "False"}],
                containerStatuses=[container(ready=True, state={"running": {}})]),
            "node n1 does not report any more",
        ),
    ],
)  # fmt: skip
def test_one_worker_among_two(found: dict[str, Any], says: str) -> None:
    (cause,) = pods_seen([found, pod("small", 1, **RUNS)], {}).causes
    assert cause == Cause(False, f"1 of 2 Pods of worker group small: {says}")


@pytest.mark.parametrize(
    "found",
    [
        pod(**RUNS),
        # A worker without a replica: its readiness probe fails by design.
        pod(phase="Running", conditions=[SCHEDULED, {"type": "Ready", "status": "False"}],
            containerStatuses=[container(state={"running": {}})]),
        pod(phase="Pending", containerStatuses=[waiting("ContainerCreating")]),
        pod(phase="Pending", containerStatuses=[waiting("PodInitializing")],
            initContainerStatuses=[container("load", ready=True, state=ended(0, "Completed"))]),
        # It restarted once, long ago.
        pod(**{**RUNS, "containerStatuses": [
            container(ready=True, restarts=1, state={"running": {}}, lastState=ended(137, "OOMKilled"))]}),
        {**pod(phase="Failed", reason="Evicted"), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {}, {"metadata": None, "status": []}, {"status": {"conditions": "x", "containerStatuses": [1, {"state": 5}]}},
    ],
)  # fmt: skip
def test_what_is_no_fault(found: dict[str, Any]) -> None:
    assert pods_seen([found], {}).causes == ()


def test_many_pods_with_one_cause_are_one_sentence() -> None:
    pods = [unscheduled("big", number) for number in range(999)]
    seen = pods_seen([pod("", 0, **RUNS), *pods], {})
    assert seen.causes == (Cause(True, f"999 of 999 Pods of worker group big: Unschedulable: {NO_L4}"),)
    assert seen.summary == "1 of 1000 Pods run, 999 wait for a node."


def test_what_failed_is_said_before_what_waits_and_the_registrys_words_win() -> None:
    pulls = [waiting("ImagePullBackOff", "Back-off"), waiting("ErrImagePull", "failed to resolve reference: 401")]
    pods = [unscheduled("big", 0), *(pod("small", i, containerStatuses=[it]) for i, it in enumerate(pulls))]
    seen = pods_seen(pods, {})
    assert [cause.text.split(": ")[0] for cause in seen.causes] == [
        "2 of 2 Pods of worker group small", "1 of 1 Pods of worker group big",
    ]  # fmt: skip
    assert "401" in seen.causes[0].text


def test_workers_that_only_wait_for_the_head_are_not_the_cause() -> None:
    """KubeRay's init container gives up after some minutes if the head does not come, whatever the reason."""
    gave_up = {
        **waiting("CrashLoopBackOff", restarts=2, lastState=ended(1, message="not ready")),
        "name": "wait-gcs-ready",
    }
    worker = pod("small", 0, initContainerStatuses=[gave_up])
    assert pods_seen([unscheduled("", 0), worker], {}).causes == (Cause(True, f"the head Pod: Unschedulable: {NO_L4}"),)
    head = pod("", 0, **RUNS)
    (cause,) = pods_seen([head, worker], {}).causes
    assert "wait-gcs-ready" in cause.text


def test_warnings_are_asked_for_where_a_pod_says_nothing() -> None:
    creating = pod("small", 0, phase="Pending", containerStatuses=[waiting("ContainerCreating")])
    seen = pods_seen([unscheduled("big", 0), creating], {})
    assert seen.silent == "small-0"
    warning = {"reason": "FailedMount", "message": 'MountVolume.SetUp failed: secret "tls" not found'}
    old = {"reason": "FailedScheduling", "message": "old", "lastTimestamp": "2026-01-01T00:00:00Z"}
    warned = pods_seen([creating], {"small-0": [old, {**warning, "lastTimestamp": "2026-01-01T00:01:00Z"}]})
    assert warned.causes[0].text.endswith('FailedMount: MountVolume.SetUp failed: secret "tls" not found')
    assert pods_seen([pod(**RUNS)], {}).silent == ""
    waits = pod("small", 1, initContainerStatuses=[container("wait-gcs-ready", state={"running": {}})])
    head = pod("", 0, containerStatuses=[waiting("ContainerCreating")])
    assert pods_seen([waits, head], {}).silent == "-0", "the worker only waits for the head"
    over = {"reason": "FailedScheduling", "message": "no node", "lastTimestamp": "2026-01-01T00:02:00Z"}
    assert pods_seen([creating], {"small-0": [over]}).causes == (), "it has a node now"


@pytest.mark.parametrize(("count", "failing"), [(None, False), ("99", False), (1, False), (11, False), (12, True)])
def test_a_head_that_starts_is_not_ready_for_a_minute(count: Any, failing: bool) -> None:
    head = pod("", 0, phase="Running", conditions=[SCHEDULED, {"type": "Ready", "status": "False"}],
               containerStatuses=[container(state={"running": {}})])  # fmt: skip
    assert pods_seen([head], {}).silent == "-0"
    probe = {"reason": "Unhealthy", "message": "Readiness probe failed: connection refused", "count": count}
    assert bool(pods_seen([head], {"-0": [probe]}).causes) is failing


def test_failed_probes_of_a_head_count_together() -> None:
    """The kubelet writes only some 25 events of a Pod at once, so none of several may reach the count alone."""
    head = pod("", 0, phase="Running", conditions=[SCHEDULED, {"type": "Ready", "status": "False"}],
               containerStatuses=[container(state={"running": {}})])  # fmt: skip
    said = ("Readiness probe failed: refused", "Liveness probe failed: refused", "Readiness probe failed: timeout")
    probes = [{"reason": "Unhealthy", "message": it, "count": 4} for it in said]
    assert pods_seen([head], {"-0": probes[:2]}).causes == ()
    assert pods_seen([head], {"-0": probes}).causes != ()


@pytest.mark.parametrize(
    ("group", "short"),
    [
        ({"groupName": "small", "minReplicas": 2}, False),
        ({"groupName": "small", "minReplicas": 3}, True),
        ({"groupName": "small", "minReplicas": 1, "numOfHosts": 4}, True),
        ({"groupName": "small", "minReplicas": 3, "suspend": True}, False),
        ({"groupName": "other", "minReplicas": 1}, True),
        ({"groupName": "other", "minReplicas": 0}, False),
        ({"groupName": "other"}, False),
        ({}, False),
        ("x", False),
    ],
)
def test_whether_a_group_has_its_minimum(group: Any, short: bool) -> None:
    seen = pods_seen(
        [pod("", 0, **RUNS), pod("small", 0, **RUNS), pod("small", 1, **RUNS), unscheduled("small", 2)], {}
    )
    assert seen.is_short_of({"spec": {"workerGroupSpecs": [group]}}) is short


def test_plain_text() -> None:
    assert plain("\x1b[31mred\x1b[0m\x07 a\n\tb\u202e\ud800") == "red a b?"
    assert len(plain("x" * 2**20)) <= 1000
    assert plain(None) == plain(7) == ""
    assert last_words("INFO a\nValueError: b\nINFO c\n") == "ValueError: b"
    assert last_words("1\n2\n3\n4\n") == "2 / 3 / 4"
    frames = "n(_Py+0x2e6) [0x51fae6] _Py\n/lib/libc.so.6(__libc_start_main+0x85) [0x7f33] __libc\n"
    assert last_words(f"no route\n{frames}") == "no route"
    assert "kubectl logs --previous" in last_words(frames)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["metadata", "status", "conditions", "containerStatuses", "state", "waiting", "terminated",
                         "reason", "message", "type", "name", "exitCode", "labels", "uid"]) | st.text(max_size=3),
        inner, max_size=5),
)  # fmt: skip


@settings(max_examples=300, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.dictionaries(st.sampled_from(["metadata", "status", "spec"]), JSON), max_size=4))
def test_anything_may_stand_in_a_pod(pods: list[dict[str, Any]]) -> None:
    seen = pods_seen(pods, {})
    assert all(len(cause.text) < 1500 for cause in seen.causes)
    assert all(cause.text.isprintable() for cause in seen.causes)


# What the status makes of it.

WANTED = desired.compile(pipeline(HELLO, metadata={"generation": 1}))
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


def service(ready: bool, **apps: str) -> dict[str, Any]:
    states = {name: {"status": state, "message": "The actor died."} for name, state in apps.items()}
    side = "activeServiceStatus" if ready else "pendingServiceStatus"
    conditions = [{"type": "Ready", "status": str(ready), "reason": "", "message": ""}]
    status = {"observedGeneration": 1, "conditions": conditions, side: {"rayClusterName": "c",
                                                                        "applicationStatuses": states}}  # fmt: skip
    return {"metadata": {"generation": 1}, "status": status}


def status_of(
    rayservice: dict[str, Any], seen: PodsSeen | None, previous: Status | None = None, now: str = NOW
) -> Status:
    observed = replace(observe(rayservice), pods=seen)
    return judge(Situation(WANTED, Verdict(Applied.APPLIED, ""), observed), previous or Status(), now)


def ready(status: Status) -> tuple[str, str, str]:
    found = status.condition("Ready")
    assert found
    return found.status, found.reason, found.message


def test_pods_that_wait_are_pending_and_pods_that_fail_are_failing() -> None:
    pending = status_of(service(False), pods_seen([unscheduled("big", 0)], {}))
    assert ready(pending)[:2] == ("False", "PodsPending")
    assert "3 Insufficient nvidia.com/gpu" in ready(pending)[2]
    failing = pods_seen([unscheduled("big", 0), pod(containerStatuses=[waiting("ErrImagePull", "no")])], {})
    assert ready(status_of(service(False), failing))[:2] == ("False", "PodsFailing")


def test_an_app_that_fails_because_its_pod_ran_out_of_memory() -> None:
    killed = pods_seen([pod(containerStatuses=[waiting("CrashLoopBackOff", lastState=ended(137, "OOMKilled"))])], {})
    _, reason, message = ready(status_of(service(True, hello="UNHEALTHY"), killed))
    assert reason == "PodsFailing"
    assert "OOMKilled" in message
    assert "app hello is UNHEALTHY: The actor died." in message


@pytest.mark.parametrize(
    ("rayservice", "pods", "stage"),
    [
        (service(False), [], "CreatingPods"),
        (service(False), [unscheduled("big", 0)], "Scheduling"),
        (service(False), [pod(containerStatuses=[waiting("ContainerCreating")])], "StartingContainers"),
        (service(False), [pod(**RUNS)], "JoiningRay"),
        (service(False, hello="DEPLOYING"), [pod(**RUNS)], "StartingApps"),
        (service(True, hello="DEPLOYING"), [pod(**RUNS)], "StartingApps"),
        ({"metadata": {"generation": 1}}, [], "WaitingForKubeRay"),
        (service(True, hello="RUNNING"), [], None),
        (service(False, hello="DEPLOY_FAILED"), [pod(**RUNS)], None),
    ],
)
def test_where_a_start_is(rayservice: dict[str, Any], pods: list[dict[str, Any]], stage: str | None) -> None:
    found = status_of(rayservice, pods_seen(pods, {})).stage
    assert (found.name if found else None) == stage


def test_a_stage_has_the_time_at_which_it_began_and_says_when_it_takes_long() -> None:
    seen = pods_seen([unscheduled("big", 0)], {})
    first = status_of(service(False), seen)
    assert first.stage == StageStatus(name="Scheduling", since=NOW, message="0 of 1 Pods run, 1 wait for a node.")
    late = status_of(service(False), seen, first, LATER)
    assert late.stage
    assert late.stage.since == NOW
    assert "longer than the usual 5 minutes: check whether the cluster can add such a node" in str(late.stage.message)
    later = status_of(service(False), seen, late, "2026-01-01T02:00:00Z")
    assert later == late, "the time alone changes nothing, so nothing is written"


def test_an_app_that_comes_and_goes_is_not_ready_until_it_has_run_for_ten_minutes() -> None:
    status = Status()
    for minute, state in enumerate(("RUNNING", "UNHEALTHY", "RUNNING", "UNHEALTHY", "RUNNING")):
        status = status_of(service(True, hello=state), None, status, f"2026-01-01T00:0{minute}:00Z")
    assert ready(status)[:2] == ("False", "AppsUnsteady")
    assert "failed 2 times" in ready(status)[2]
    assert "The actor died." in ready(status)[2]
    assert ready(status_of(service(True, hello="RUNNING"), None, status, "2026-01-01T00:10:00Z"))[1] == "AppsUnsteady"
    well = status_of(service(True, hello="RUNNING"), None, status, "2026-01-01T00:14:00Z")
    assert ready(well)[:2] == ("True", "AppsRunning")
    assert well.apps[0] == AppStatus(name="hello", state="RUNNING", message="The actor died.", url=well.apps[0].url)


def test_one_failure_is_remembered_and_does_not_count() -> None:
    running = status_of(service(True, hello="RUNNING"), None)
    failed = status_of(service(True, hello="UNHEALTHY"), None, running)
    assert failed.apps[0].last_failure == FailureStatus(time=NOW, message="The actor died.")
    assert ready(status_of(service(True, hello="RUNNING"), None, failed))[0] == "True"


def test_a_status_stays_small_whatever_is_reported() -> None:
    apps = [{**HELLO, "name": f"hello-{number}", "routePrefix": f"/{number}"} for number in range(32)]
    wanted = desired.compile(pipeline(*apps, metadata={"generation": 1}))
    deployments = {
        f"deployment-{number}": {"status": "UPDATING", "message": "\x1b" + "ü" * 500} for number in range(100)
    }
    states = {
        app["name"]: {"status": "X" * 999, "message": "y" * 10**4, "serveDeploymentStatuses": deployments}
        for app in apps
    }
    # One whose texts are larger than any object can be.
    largest = {"deployment": {"status": "UPDATING", "message": "\x1b" + "ü" * 10**5}}
    states["hello-0"] = {"status": "X" * 999, "message": "y" * 10**6, "serveDeploymentStatuses": largest | deployments}
    rayservice = service(True)
    rayservice["status"]["activeServiceStatus"]["applicationStatuses"] = states
    status = judge(Situation(wanted, Verdict(Applied.APPLIED, ""), observe(rayservice)), Status(), NOW)
    assert len(json.dumps(status.written())) < 32 * 1024
    assert Status.of({"status": json.loads(json.dumps(status.written()))}) == status
