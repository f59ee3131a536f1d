"""What users read, from what KubeRay says."""

from dataclasses import replace
from typing import Any

import pytest

from llmpipeline.observe import fault_of, last_line, observe
from llmpipeline.problems import Problem
from llmpipeline.status import Asked, Verdict, make_status

APPLIED = Verdict("True", "Applied", "KubeRay has the RayService.")
NOW = "2026-01-01T00:00:00Z"


def asked(*problems: Problem) -> Asked:
    return Asked("reviews", "ml", 3, {"hello": "/hello", "chat": "/"}, (1, 2), problems)


def app(status: str, message: str = "") -> dict[str, Any]:
    return {"status": status, "message": message, "serveDeploymentStatuses": {"D": {"status": "HEALTHY"}}}


def service(
    ready: bool, *, upgrading: bool = False, seen: bool = True, reason: str = "", **sides: Any
) -> dict[str, Any]:
    status: dict[str, Any] = {
        "observedGeneration": 1 if seen else 0,
        "conditions": [
            {"type": "Ready", "status": str(ready), "reason": reason, "message": ""},
            {"type": "UpgradeInProgress", "status": str(upgrading), "reason": "x", "message": ""},
        ],
    }
    for side, apps in sides.items():
        status[f"{side}ServiceStatus"] = {"rayClusterName": f"{side}-1", "applicationStatuses": apps}
    return {"metadata": {"generation": 1, "resourceVersion": "1"}, "status": status}


def verdicts(rayservice: dict[str, Any] | None, applied: Verdict = APPLIED) -> dict[str, tuple[str, str]]:
    status = make_status(asked(), applied, observe(rayservice) if rayservice else None, None, {}, NOW)
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


RUNNING = {"hello": app("RUNNING"), "chat": app("RUNNING")}
BROKEN = {"hello": app("RUNNING"), "chat": app("DEPLOY_FAILED", "Traceback\n  x\nModuleNotFoundError: my_app\n")}


@pytest.mark.parametrize(
    ("rayservice", "progressing", "ready"),
    [
        (service(True, active=RUNNING), ("False", "Settled"), ("True", "AppsRunning")),
        (service(True, active=BROKEN), ("False", "Settled"), ("False", "AppsFailed")),
        (service(True, active={"hello": app("RUNNING")}), ("False", "Settled"), ("Unknown", "AppsDeploying")),
        (
            service(True, active={**RUNNING, "chat": app("DEPLOYING")}),
            ("True", "Deploying"),
            ("Unknown", "AppsDeploying"),
        ),
        (
            service(True, upgrading=True, active={}, pending={"hello": app("DEPLOYING")}),
            ("True", "Upgrading"),
            ("True", "ServingOldCluster"),
        ),
        (service(False, pending=RUNNING), ("True", "Initializing"), ("False", "NoEndpoints")),
        (service(False, pending=BROKEN), ("True", "Initializing"), ("False", "AppsFailed")),
        (service(True, seen=False, active=RUNNING), ("True", "WaitingForKubeRay"), ("True", "AppsRunning")),
        (service(False, reason="InitializingTimeout"), ("False", "Stalled"), ("False", "NoEndpoints")),
        (service(False, seen=False, reason="ValidationFailed"), ("False", "Stalled"), ("False", "NoEndpoints")),
        ({"metadata": {"generation": 1}}, ("True", "WaitingForKubeRay"), ("False", "NoEndpoints")),
        (
            service(True, active={**RUNNING, "chat": app("A_NEW_WORD")}),
            ("True", "Deploying"),
            ("Unknown", "AppsDeploying"),
        ),
    ],
)
def test_progressing_and_ready(rayservice: dict[str, Any], progressing: Any, ready: Any) -> None:
    found = verdicts(rayservice)
    assert (found["Progressing"], found["Ready"]) == (progressing, ready)


def test_no_rayservice_is_not_ready_for_the_reason_that_it_was_not_applied() -> None:
    found = verdicts(None, Verdict("False", "KubeRayMissing", "install KubeRay"))
    assert found["Applied"] == ("False", "KubeRayMissing")
    assert found["Ready"] == ("False", "NotApplied")


def test_a_failed_app_is_named_with_its_last_error_line() -> None:
    status = make_status(asked(), APPLIED, observe(service(True, active=BROKEN)), None, {}, NOW)
    ready = status["conditions"][3]
    assert ready["message"] == "app chat is DEPLOY_FAILED: ModuleNotFoundError: my_app"
    assert status["readyApps"] == "1/2"
    assert status["apps"][1]["url"] == "http://reviews-serve-svc.ml.svc:8000"


NOT_PULLED = "ray-head: Back-off pulling image x"


@pytest.mark.parametrize(
    ("kind", "status", "reason", "message", "ready", "says"),
    [
        ("HeadPodReady", "False", "ImagePullBackOff", NOT_PULLED, "PodsFailing", "ImagePullBackOff: " + NOT_PULLED),
        ("ReplicaFailure", "True", "FailedCreateHeadPod", "exceeded quota", "PodsFailing", "exceeded quota"),
        ("HeadPodReady", "False", "ContainersNotReady", "unready: [ray-head]", "NoEndpoints", "No Pod takes"),
        ("HeadPodReady", "False", "ContainerCreating", "", "NoEndpoints", "No Pod takes"),
        ("HeadPodReady", "True", "HeadPodRunningAndReady", "", "NoEndpoints", "No Pod takes"),
    ],
)
def test_pods_that_do_not_start(kind: str, status: str, reason: str, message: str, ready: str, says: str) -> None:
    condition = {"type": kind, "status": status, "reason": reason, "message": message}
    fault = fault_of({"status": {"conditions": [condition]}})
    observed = replace(observe(service(False, pending={})), fault=fault)
    *_, progressing, found = make_status(asked(), APPLIED, observed, None, {}, NOW)["conditions"]
    assert (found["status"], found["reason"]) == ("False", ready)
    assert says in found["message"]
    assert progressing["reason"] == "Initializing"
    assert (says in progressing["message"]) == (ready == "PodsFailing")


@pytest.mark.parametrize(
    ("rayservice", "awaited"),
    [
        (service(False, pending={}), "pending-1"),
        (service(False, active=RUNNING), "active-1"),
        (service(True, active=RUNNING), ""),
        (service(True, upgrading=True, active=RUNNING, pending={}), "pending-1"),
        (service(False), ""),
    ],
)
def test_which_cluster_is_awaited(rayservice: dict[str, Any], awaited: str) -> None:
    assert observe(rayservice).awaited == awaited


def test_a_refused_spec_says_every_problem_and_keeps_what_runs_ready() -> None:
    problem = Problem(("spec", "apps", 0), "is odd", "even it")
    verdict = Verdict("False", "NotAccepted", "")
    status = make_status(asked(problem), verdict, observe(service(True, active=RUNNING)), None, {}, NOW)
    accepted, applied, _, ready = status["conditions"]
    assert accepted["message"] == "spec.apps[0]: is odd; even it"
    assert (applied["status"], ready["status"]) == ("False", "True")


def test_times_change_only_with_the_status() -> None:
    first = make_status(asked(), APPLIED, observe(service(False)), None, {}, NOW)
    second = make_status(asked(), APPLIED, observe(service(True, active=RUNNING)), None, first, "2027-01-01T00:00:00Z")
    times = {item["type"]: item["lastTransitionTime"][:4] for item in second["conditions"]}
    assert times == {"Accepted": "2026", "Applied": "2026", "Progressing": "2027", "Ready": "2027"}
    third = make_status(asked(), APPLIED, observe(service(True, active=RUNNING)), None, second, "2028-01-01T00:00:00Z")
    assert third == second


def test_last_line() -> None:
    assert last_line("a\n b \n\n") == "b"
    assert last_line("") == ""
