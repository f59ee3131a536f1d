"""What users read, from what KubeRay says."""

import json
from dataclasses import replace
from typing import Any

import pytest

from llmpipeline import desired
from llmpipeline.api.status import Condition, LastEdit, Status
from llmpipeline.conditions import Applied, Verdict
from llmpipeline.desired import Rejected
from llmpipeline.kuberay.conventions import INCREMENTAL
from llmpipeline.kuberay.gateway import GatewaySeen
from llmpipeline.kuberay.service import Observed, head_fault_of, observe, refusal_of
from llmpipeline.kuberay.text import last_line
from llmpipeline.names import FIELD_MANAGER
from llmpipeline.problems import Problem
from llmpipeline.status.judge import judge
from llmpipeline.status.situation import Situation
from support.pipelines import HELLO, model, openai, pipeline

APPLIED = Verdict(Applied.APPLIED, "The RayService is applied.")
NOW = "2026-01-01T00:00:00Z"
# The apps hello and chat; the latter answers at the root.
WANTED = desired.compile(pipeline(HELLO, {**openai(model()), "routePrefix": "/"}, metadata={"generation": 3}))


def status_of(
    observed: Observed | None, applied: Verdict = APPLIED, previous: Status | None = None, now: str = NOW
) -> Status:
    return judge(Situation(WANTED, applied, observed), previous or Status(), now)


def condition(status: Status, kind: str) -> Condition:
    found = status.condition(kind)
    assert found
    return found


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


def behind(gateway: GatewaySeen | None, percent: int | None = None, **sides: Any) -> Observed:
    """A RayService with incremental upgrades."""
    found = service(True, upgrading=percent is not None, **sides)
    found["spec"] = {"upgradeStrategy": {"type": INCREMENTAL}}
    if percent is not None:
        found["status"]["pendingServiceStatus"]["trafficRoutedPercent"] = percent
    return replace(observe(found), gateway=gateway)


def verdicts(rayservice: dict[str, Any] | None, applied: Verdict = APPLIED) -> dict[str, tuple[str, str]]:
    status = status_of(observe(rayservice) if rayservice else None, applied)
    return {item.type: (item.status, item.reason) for item in status.conditions}


RUNNING = {"hello": app("RUNNING"), "chat": app("RUNNING")}
BROKEN = {"hello": app("RUNNING"), "chat": app("DEPLOY_FAILED", "Traceback\n  x\nModuleNotFoundError: my_app\n")}
# What Ray 2.60 said of one whose new version raises, with the old version still answering.
STOPPED = (
    "The deployment failed to start 3 times in a row during a rolling update. This may be due to a problem with its "
    "constructor, initial health check or health checks failing. The update is stopped and replicas of the previous "
    "version keep running until a new deploy. See controller logs for details. Error:\nRuntimeError: no weights\n"
)


def failed_app(*messages: str) -> dict[str, Any]:
    """One whose deployments all fail, each with a message."""
    deployments = {f"D{n}": {"status": "DEPLOY_FAILED", "message": text} for n, text in enumerate(messages)}
    return {**app("DEPLOY_FAILED"), "serveDeploymentStatuses": deployments}


FAILED_AT_LAST = ("True", "AppsFailed")
NO = ("False", "NotStalled")


@pytest.mark.parametrize(
    ("rayservice", "stalled", "reconciling", "available", "ready"),
    [
        (
            service(True, active=RUNNING), NO, ("False", "Settled"), ("True", "AppsRunning"), ("True", "AppsRunning"),
        ),
        (
            service(True, active=BROKEN), FAILED_AT_LAST, ("False", "Stalled"), ("False", "AppsFailed"),
            ("False", "AppsFailed"),
        ),
        # A failed update in place leaves the old replicas; not if another deployment of the app has none.
        (
            service(True, active={**RUNNING, "chat": failed_app(STOPPED)}), FAILED_AT_LAST, ("False", "Stalled"),
            ("True", "ServingOldVersion"), ("False", "AppsFailed"),
        ),
        (
            service(True, active={**RUNNING, "chat": failed_app(STOPPED, "it failed")}), FAILED_AT_LAST,
            ("False", "Stalled"), ("False", "AppsFailed"), ("False", "AppsFailed"),
        ),
        # An app that never ran, and whose own error has Ray's words.
        (
            service(True, active={**RUNNING, "chat": failed_app(f"It failed. Error:\n{STOPPED}")}), FAILED_AT_LAST,
            ("False", "Stalled"), ("False", "AppsFailed"), ("False", "AppsFailed"),
        ),
        (
            service(True, active={"chat": failed_app(STOPPED)}), FAILED_AT_LAST, ("False", "Stalled"),
            ("Unknown", "AppsDeploying"), ("False", "AppsFailed"),
        ),
        (
            service(True, active={**RUNNING, "chat": app("UNHEALTHY", "x")}), NO, ("False", "Settled"),
            ("False", "AppsFailed"), ("False", "AppsFailed"),
        ),
        (
            service(True, active={"hello": app("RUNNING")}), NO, ("True", "Deploying"), ("Unknown", "AppsDeploying"),
            ("Unknown", "Deploying"),
        ),
        (
            service(True, active={**RUNNING, "chat": app("DEPLOYING")}), NO, ("True", "Deploying"),
            ("Unknown", "AppsDeploying"), ("Unknown", "Deploying"),
        ),
        (
            service(True, upgrading=True, active={}, pending={"hello": app("DEPLOYING")}), NO, ("True", "Upgrading"),
            ("True", "ServingOldCluster"), ("False", "Upgrading"),
        ),
        (
            service(True, upgrading=True, active={}, pending=BROKEN), FAILED_AT_LAST, ("False", "Stalled"),
            ("True", "ServingOldCluster"), ("False", "AppsFailed"),
        ),
        (
            service(False, pending=RUNNING), NO, ("True", "Initializing"), ("False", "NoEndpoints"),
            ("False", "Initializing"),
        ),
        (
            service(False, pending=BROKEN), FAILED_AT_LAST, ("False", "Stalled"), ("False", "AppsFailed"),
            ("False", "AppsFailed"),
        ),
        (
            service(True, seen=False, active=RUNNING), NO, ("True", "WaitingForKubeRay"), ("True", "AppsRunning"),
            ("Unknown", "WaitingForKubeRay"),
        ),
        # What failed is of an older generation: the newest may be better.
        (
            service(True, seen=False, active=BROKEN), NO, ("True", "WaitingForKubeRay"), ("False", "AppsFailed"),
            ("Unknown", "WaitingForKubeRay"),
        ),
        (
            service(False, reason="InitializingTimeout"), ("True", "InitializingTimeout"), ("False", "Stalled"),
            ("False", "NoEndpoints"), ("False", "InitializingTimeout"),
        ),
        (
            service(False, seen=False, reason="ValidationFailed"), ("True", "InvalidRayService"), ("False", "Stalled"),
            ("False", "NoEndpoints"), ("False", "InvalidRayService"),
        ),
        (
            {"metadata": {"generation": 1}}, NO, ("True", "WaitingForKubeRay"), ("False", "NoEndpoints"),
            ("Unknown", "WaitingForKubeRay"),
        ),
        (
            service(True, active={**RUNNING, "chat": app("A_NEW_WORD")}), NO, ("True", "Deploying"),
            ("Unknown", "AppsDeploying"), ("Unknown", "Deploying"),
        ),
        (
            service(False, reason="SuspendComplete"), NO, ("False", "Suspended"), ("False", "Suspended"),
            ("False", "Suspended"),
        ),
    ],
)  # fmt: skip
def test_conditions_of_what_kuberay_reports(
    rayservice: dict[str, Any], stalled: Any, reconciling: Any, available: Any, ready: Any
) -> None:
    found = verdicts(rayservice)
    said = tuple(found[kind] for kind in ("Stalled", "Reconciling", "Available", "Ready"))
    assert said == (stalled, reconciling, available, ready)


@pytest.mark.parametrize(
    ("gateway", "url", "routed"),
    [
        (GatewaySeen("gw.example.com"), "http://gw.example.com", "http://gw.example.com/hello"),
        (GatewaySeen("[fd00::1]"), "http://[fd00::1]", "http://[fd00::1]/hello"),
        (GatewaySeen(), None, None),  # its controller writes no address
        (None, None, None),  # the operator may not read it
    ],
)
def test_with_incremental_upgrades_a_pipeline_answers_at_its_gateway(
    gateway: GatewaySeen | None, url: str | None, routed: str | None
) -> None:
    """KubeRay makes no Service for the whole then: its name leads nowhere."""
    status = status_of(behind(gateway, active=RUNNING))
    assert (status.url, status.apps[0].url) == (url, routed)
    assert condition(status, "Ready").status == "True"


def test_a_gateway_that_takes_no_requests_is_not_available() -> None:
    """KubeRay says that the service is ready: it looks at endpoints alone."""
    status = status_of(
        behind(GatewaySeen(fault="the Gateway a-gateway is not Programmed: no such class"), active=RUNNING)
    )
    said = {item.type: (item.status, item.reason) for item in status.conditions}
    assert said["Reconciling"] == ("True", "GatewayNotReady")
    assert said["Available"] == said["Ready"] == ("False", "GatewayNotReady")
    assert condition(status, "Ready").message == "The Gateway a-gateway is not Programmed: no such class."


@pytest.mark.parametrize(
    ("percent", "says"),
    [
        (0, "The new cluster pending-1 is starting; until it runs, active-1 serves."),
        (30, "The new cluster pending-1 takes 30 % of the requests; active-1 takes the rest."),
    ],
)
def test_an_incremental_upgrade_says_how_far_it_is(percent: int, says: str) -> None:
    status = status_of(behind(GatewaySeen("gw"), percent, active=RUNNING, pending=RUNNING))
    assert condition(status, "Reconciling").message.startswith(says)
    assert condition(status, "Available").status == "True"


def test_no_rayservice_is_not_ready_for_the_reason_that_it_was_not_applied() -> None:
    found = verdicts(None, Verdict(Applied.KUBERAY_MISSING, "install KubeRay"))
    assert found["Applied"] == found["Reconciling"] == found["Ready"] == ("False", "KubeRayMissing")
    assert (found["Available"], found["Stalled"]) == (("False", "NotApplied"), NO)


def test_a_former_rayservice_that_goes_away_is_progress() -> None:
    found = verdicts(None, Verdict(Applied.TERMINATING, "still being deleted"))
    assert (found["Applied"], found["Reconciling"]) == (("False", "Terminating"), ("True", "Terminating"))
    assert found["Ready"] == ("False", "Terminating")


def test_a_failed_app_is_named_with_its_last_error_line() -> None:
    status = status_of(observe(service(True, active=BROKEN)))
    assert condition(status, "Ready").message == "app chat is DEPLOY_FAILED: ModuleNotFoundError: my_app"
    assert status.ready_apps == "1/2"
    assert status.apps[1].url == "http://reviews-serve-svc.ml.svc:8000"


NOT_PULLED = "ray-head: Back-off pulling image x"


@pytest.mark.parametrize(
    ("kind", "status", "reason", "message", "ready", "says"),
    [
        ("HeadPodReady", "False", "ImagePullBackOff", NOT_PULLED, "PodsFailing", "ImagePullBackOff: " + NOT_PULLED),
        ("ReplicaFailure", "True", "FailedCreateHeadPod", "exceeded quota", "PodsFailing", "exceeded quota"),
        ("HeadPodReady", "False", "ContainersNotReady", "unready: [ray-head]", "Initializing", "is starting"),
        ("HeadPodReady", "False", "ContainerCreating", "", "Initializing", "is starting"),
        ("HeadPodReady", "True", "HeadPodRunningAndReady", "", "Initializing", "is starting"),
    ],
)
def test_pods_that_do_not_start(kind: str, status: str, reason: str, message: str, ready: str, says: str) -> None:
    said = {"type": kind, "status": status, "reason": reason, "message": message}
    raycluster = {"status": {"conditions": [said]}}
    fault = refusal_of(raycluster) or head_fault_of(raycluster)
    observed = replace(observe(service(False, pending={})), fault=fault, are_pods_hidden=True)
    judged = status_of(observed)
    found, reconciling = condition(judged, "Ready"), condition(judged, "Reconciling")
    assert (found.status, found.reason) == ("False", ready)
    assert says in found.message
    assert reconciling.reason == "Initializing"
    assert says in reconciling.message


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


def test_a_rejected_spec_says_every_problem_and_what_runs_stays_available() -> None:
    problem = Problem(("spec", "apps", 0), "is odd", "even it")
    rejected = Rejected(WANTED.metadata, (problem,))
    running = service(True, active=RUNNING)
    apps = [{"name": "hello", "route_prefix": "/hello"}, {"name": "chat", "route_prefix": "/"}]
    running["spec"] = {"serveConfigV2": json.dumps({"applications": apps})}
    status = judge(Situation(rejected, Verdict(Applied.NOT_ACCEPTED, ""), observe(running)), Status(), NOW)
    assert condition(status, "Accepted").message == "spec.apps[0]: is odd; even it"
    assert condition(status, "Applied").status == "False"
    assert (condition(status, "Available").status, condition(status, "Stalled").status) == ("True", "True")
    said = condition(status, "Ready")
    assert (said.status, said.reason) == ("False", "InvalidSpec")
    assert said.message == "spec.apps[0]: is odd; even it. Requests are still answered, perhaps by the version before."
    assert (status.ready_apps, status.gpus) == ("2/2", None)


@pytest.mark.parametrize("text", ["", "not JSON", "[]", '{"applications": [1]}', '{"applications": {"a": 1}}'])
def test_a_serve_config_of_somebody_else_has_no_routes(text: str) -> None:
    """A rejected spec over a RayService that was written by hand must not end the reconciliation."""
    running = {**service(True, active=RUNNING), "spec": {"serveConfigV2": text}}
    rejected = Rejected(WANTED.metadata, (Problem((), "no"),))
    status = judge(Situation(rejected, Verdict(Applied.NOT_ACCEPTED, ""), observe(running)), Status(), NOW)
    assert condition(status, "Available").reason == "AppsDeploying"
    assert status.apps == ()


def test_times_change_only_with_the_status() -> None:
    first = status_of(observe(service(False)))
    running = observe(service(True, active=RUNNING))
    second = status_of(running, previous=first, now="2027-01-01T00:00:00Z")
    times = {item.type: item.last_transition_time[:4] for item in second.conditions}
    unchanged = {"Accepted": "2026", "Applied": "2026", "Stalled": "2026"}
    assert times == {**unchanged, "Reconciling": "2027", "Available": "2027", "Ready": "2027"}
    assert status_of(running, previous=second, now="2028-01-01T00:00:00Z") == second


def test_the_last_edit_stays_until_there_is_another() -> None:
    edit = LastEdit(effect="InPlace", message="m", observed_generation=2)
    first = judge(Situation(WANTED, APPLIED, None, edit), Status(), NOW)
    assert first.last_edit == status_of(None, previous=first).last_edit == edit


def test_a_status_survives_the_api_server() -> None:
    """What is read back is equal to what was written, so that nothing is written twice."""
    for observed in (None, observe(service(False, pending=BROKEN)), observe(service(True, active=RUNNING))):
        status = status_of(observed)
        assert Status.of({"status": json.loads(json.dumps(status.written()))}) == status


@pytest.mark.parametrize(
    "foreign",
    [None, {}, "text", [], {"conditions": "x"}, {"conditions": [{"type": "Ready"}]}, {"observedGeneration": "1"}],
)
def test_a_status_of_another_hand_is_empty(foreign: Any) -> None:
    assert Status.of({"status": foreign}) == Status()


def test_what_another_version_added_is_passed_over() -> None:
    status = status_of(observe(service(True, active=RUNNING)))
    assert Status.of({"status": {**status.written(), "added": 1}}) == status


def test_last_line() -> None:
    assert last_line("a\n b \n\n") == "b"
    assert last_line("") == ""


def test_a_fresh_report_is_believed_after_some_seconds() -> None:
    """KubeRay reports a generation as seen with the states that the apps had before."""
    running = service(True, active={"hello": app("RUNNING"), "chat": app("RUNNING")})
    running["status"]["lastUpdateTime"] = "2026-01-01T00:00:00Z"
    observed = observe(running)

    def reconciling(now: str, *, was_settled: bool = False) -> tuple[str, str]:
        situation = Situation(WANTED, APPLIED, observed, None, now, was_settled)
        found = condition(judge(situation, Status(), now), "Reconciling")
        return found.status, found.reason

    assert reconciling("2026-01-01T00:00:02Z") == ("True", "Deploying")
    assert reconciling("2026-01-01T00:00:06Z") == ("False", "Settled")
    assert reconciling("2026-01-01T00:00:02Z", was_settled=True) == ("False", "Settled")
    # A clock that is behind KubeRay's holds nothing up.
    assert reconciling("2025-12-31T23:59:00Z") == ("False", "Settled")


@pytest.mark.parametrize(("applied", "settled"), [("12:00:30", False), ("11:59:00", True), ("", False)])
def test_a_report_that_never_rests_is_believed_a_minute_after_the_change(applied: str, settled: bool) -> None:
    """The autoscaler adds and removes Pods all the time, and KubeRay counts them in the status."""
    running = service(True, active={"hello": app("RUNNING"), "chat": app("RUNNING")})
    running["status"]["lastUpdateTime"] = "2026-01-01T12:00:58Z"
    entry = {"manager": FIELD_MANAGER, "operation": "Apply", "time": applied and f"2026-01-01T{applied}Z"}
    of_status = {"manager": FIELD_MANAGER, "subresource": "status", "time": "2026-01-01T12:00:59Z"}
    running["metadata"]["managedFields"] = [entry, of_status, {"manager": "else", "time": "2026-01-01T12:00:59Z"}]
    now = "2026-01-01T12:01:00Z"
    status = judge(Situation(WANTED, APPLIED, observe(running), None, now), Status(), now)
    assert (condition(status, "Reconciling").reason == "Settled") is settled


@pytest.mark.parametrize(("generation", "settled"), [(3, True), (4, False)])
def test_settled_is_said_of_a_generation(generation: int, settled: bool) -> None:
    running = service(True, active={"hello": app("RUNNING"), "chat": app("RUNNING")})
    assert status_of(observe(running)).is_settled(generation) is settled
