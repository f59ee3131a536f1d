"""No GitOps tool takes a pipeline for successful if something failed or is unfinished.

The statuses are those that the operator writes, given what KubeRay reports. They are judged by kstatus itself, by which
Flux and Helm 4 wait, by Flux's expressions on the page about GitOps, and by the health check for Argo CD.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
import yaml

from llmpipeline import desired, names
from llmpipeline.api.crd import openapi_schema
from llmpipeline.api.status import Status
from llmpipeline.classes.choose import NONE, Classes
from llmpipeline.conditions import TYPES, Applied, Reason, Verdict, reasons
from llmpipeline.desired import Rejected
from llmpipeline.kuberay.gateway import GatewaySeen
from llmpipeline.kuberay.pods import Cause, PodsSeen
from llmpipeline.kuberay.service import observe
from llmpipeline.status.judge import judge, with_defect
from llmpipeline.status.situation import Situation
from support.gitops import HEALTH_CHECK, argo_cd, kstatus
from support.pipelines import HELLO, Document, class_of, pipeline
from support.repository import DOCS

PAGE = (DOCS / "how-to" / "gitops.md").read_text()
BLOCKS = [block for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) for block in yaml.safe_load_all(text)]
NOW = "2026-01-01T00:00:00Z"
GENERATION = 3
# Of the RayService.
VERSION = 2


def app(state: str) -> Document:
    return {"hello": {"status": state, "message": "The actor died."}}


RUNNING, DEPLOYING, UNHEALTHY, FAILED = map(app, ("RUNNING", "DEPLOYING", "UNHEALTHY", "DEPLOY_FAILED"))
HALTED: Document = {
    "hello": {
        **FAILED["hello"],
        "serveDeploymentStatuses": {
            "Hello": {
                "status": "DEPLOY_FAILED",
                "message": "It is stopped and replicas of the previous version keep running until a new deploy.",
            }
        },
    }
}


def service(ready: bool, reason: str = "", *, seen: int = VERSION, also: str = "", **sides: Document) -> Document:
    """A RayService as KubeRay reports on it; `also` is a condition that is true besides."""
    said = {"Ready": (str(ready), reason), **({also: ("True", also)} if also else {})}
    conditions = [{"type": kind, "status": it, "reason": why, "message": why} for kind, (it, why) in said.items()]
    status: Document = {"observedGeneration": seen, "conditions": conditions}
    for side, apps in sides.items():
        status[f"{side}ServiceStatus"] = {"rayClusterName": f"{side}-1", "applicationStatuses": apps}
    config = json.dumps({"applications": [{"name": "hello", "route_prefix": "/"}]})
    return {"metadata": {"generation": VERSION}, "spec": {"serveConfigV2": config}, "status": status}


def held(rayservice: Document) -> Document:
    """The RayService, suspended by another field manager."""
    owned = {"manager": "kueue", "operation": "Update", "fieldsV1": {"f:spec": {"f:suspend": {}}}}
    metadata, spec = {**rayservice["metadata"], "managedFields": [owned]}, {**rayservice["spec"], "suspend": True}
    return {**rayservice, "metadata": metadata, "spec": spec}


SERVING = service(True, active=RUNNING)
STARTING = service(False, pending={})
WAITING = Verdict(Applied.CLASS_ROLLOUT_WAITING, "The class changed, and others come first.")
APPLIED = Verdict(Applied.APPLIED, "The RayService is applied.")


def not_applied(reason: Reason) -> Verdict:
    return Verdict(reason, f"It could not be applied: {reason}.")


def live(
    rayservice: Document | None,
    applied: Verdict = APPLIED,
    *,
    apps: Document = HELLO,
    pods: Cause | None = None,
    is_short: bool = False,
    gateway: GatewaySeen | None = None,
    before: Document | None = None,
    classes: Classes = NONE,
    **spec: Any,
) -> Document:
    """A pipeline as the API server has it, after the operator has looked at this RayService."""
    document = pipeline(apps, metadata={"generation": GENERATION}, **spec)
    wanted = desired.compile(document, classes=classes)
    verdict = Verdict(Applied.NOT_ACCEPTED, "Not sent.") if isinstance(wanted, Rejected) else applied
    seen = PodsSeen(2, 1, 0, (pods,)) if pods else None
    observed = replace(observe(rayservice), pods=seen, is_short=is_short, gateway=gateway) if rayservice else None
    return with_status(document, judge(Situation(wanted, verdict, observed), Status.of(before or {}), NOW))


def classes_of(*specs: Document) -> Classes:
    """Default classes."""
    return Classes(tuple(class_of(f"class-{number}", **spec) for number, spec in enumerate(specs)))


def with_status(document: Document, status: Status) -> Document:
    return {**document, "status": status.written()}


def of_generation(document: Document, generation: int) -> Document:
    return {**document, "metadata": {**document["metadata"], "generation": generation}}


def defect(before: Document, generation: int) -> Document:
    """What the operator writes in case of a defect of its own."""
    status = with_defect(Status.of(before), not_applied(Applied.INTERNAL_ERROR), generation, NOW)
    return with_status(of_generation(before, generation), status)


def unsteady() -> Document:
    """An app that came and went twice, and runs now."""
    document = live(SERVING)
    for apps in (UNHEALTHY, RUNNING, UNHEALTHY, RUNNING):
        document = live(service(True, active=apps), before=document)
    return document


@dataclass(frozen=True)
class Case:
    """A situation, and how it must be judged; by Flux with expressions as by kstatus, unless `flux` says otherwise."""

    name: str
    document: Document
    kstatus: str
    argo_cd: str
    flux: str = ""


# As the API server has it: with the status that the CRD gives a new pipeline.
UNPROCESSED = pipeline(metadata={"generation": 1}) | {"status": openapi_schema()["properties"]["status"]["default"]}
TOO_LARGE: Document = {"name": "hello", "hello": {"resources": {"cpus": "64"}}}
SMALL = [{"name": "small", "maxReplicas": 1}]
PULL = Cause(False, "1 of 1 Pods of worker group small: ErrImagePull: no such image")
NO_NODE = Cause(True, "1 of 1 Pods of worker group small: Unschedulable: 3 Insufficient nvidia.com/gpu")
IN_PROGRESS, FAILS, SUCCEEDS = "InProgress", "Failed", "Current"
PROGRESSING, DEGRADED, HEALTHY, SUSPENDED = "Progressing", "Degraded", "Healthy", "Suspended"

CASES = [
    Case("never processed", UNPROCESSED, IN_PROGRESS, PROGRESSING),
    Case("an older generation", of_generation(live(SERVING), GENERATION + 1), IN_PROGRESS, PROGRESSING),
    Case("running", live(SERVING), SUCCEEDS, HEALTHY),
    # The spec.
    Case("rejected at once", live(None, apps={**HELLO, "helo": {}}), FAILS, DEGRADED),
    Case("rejected over a running service", live(SERVING, apps={**HELLO, "helo": {}}), FAILS, DEGRADED),
    Case("does not fit", live(None, apps=TOO_LARGE, workers=SMALL), FAILS, DEGRADED),
    # The class: it may come, or be corrected, without a change of the pipeline.
    Case("a class that is not there", live(None, className="x"), IN_PROGRESS, DEGRADED),
    Case("a class that is gone", live(SERVING, className="x"), IN_PROGRESS, DEGRADED),
    Case("two default classes", live(None, classes=classes_of({}, {})), IN_PROGRESS, DEGRADED),
    Case("an invalid class", live(None, classes=classes_of({"x": 1})), IN_PROGRESS, DEGRADED),
    Case("classes unread", live(None, className="x", classes=Classes(unread="forbidden")), IN_PROGRESS, DEGRADED),
    Case("an image not allowed", live(SERVING, classes=classes_of({"allowedImages": ["a/*"]})), FAILS, DEGRADED),
    Case("a class that waits for others", live(SERVING, WAITING), SUCCEEDS, HEALTHY),
    # Applying it.
    Case("KubeRay missing", live(None, not_applied(Applied.KUBERAY_MISSING)), IN_PROGRESS, DEGRADED),
    Case("name taken", live(None, not_applied(Applied.NAME_TAKEN)), FAILS, DEGRADED),
    Case("rejected by the API server", live(None, not_applied(Applied.REJECTED)), FAILS, DEGRADED),
    Case("an update rejected by the API server", live(SERVING, not_applied(Applied.REJECTED)), FAILS, DEGRADED),
    Case("forbidden", live(SERVING, not_applied(Applied.FORBIDDEN)), IN_PROGRESS, DEGRADED),
    Case("partly applied", live(SERVING, not_applied(Applied.PARTLY_APPLIED)), IN_PROGRESS, DEGRADED),
    Case("no network policy", live(None, not_applied(Applied.NETWORK_POLICY_FAILED)), IN_PROGRESS, DEGRADED),
    Case("a former RayService terminating", live(None, not_applied(Applied.TERMINATING)), IN_PROGRESS, PROGRESSING),
    Case("a defect at once", defect(UNPROCESSED, 1), IN_PROGRESS, DEGRADED),
    Case("a defect at an update", defect(live(SERVING), GENERATION + 1), IN_PROGRESS, DEGRADED),
    Case("a defect later", defect(live(SERVING), GENERATION), IN_PROGRESS, DEGRADED),
    # Starting.
    Case("waiting for KubeRay", live({"metadata": {"generation": 1}}), IN_PROGRESS, PROGRESSING),
    Case("an update waiting for KubeRay", live(service(True, seen=1, active=RUNNING)), IN_PROGRESS, PROGRESSING),
    Case("initializing", live(STARTING), IN_PROGRESS, PROGRESSING),
    Case("loading", live(service(False, pending=DEPLOYING)), IN_PROGRESS, PROGRESSING),
    Case("Pods pending", live(STARTING, pods=NO_NODE), IN_PROGRESS, PROGRESSING),
    Case("Pods failing", live(STARTING, pods=PULL), IN_PROGRESS, DEGRADED),
    Case("failed for good at once", live(service(False, pending=FAILED)), FAILS, DEGRADED),
    Case("KubeRay gave up", live(service(False, "InitializingTimeout")), FAILS, DEGRADED),
    Case("KubeRay rejects it", live(service(True, "ValidationFailed", seen=1, active=RUNNING)), FAILS, DEGRADED),
    # Changing.
    Case("deploying in place", live(service(True, active=DEPLOYING)), IN_PROGRESS, PROGRESSING),
    Case("Pods missing", live(SERVING, is_short=True), IN_PROGRESS, PROGRESSING),
    Case("Pods missing, and a node", live(SERVING, pods=NO_NODE, is_short=True), IN_PROGRESS, PROGRESSING),
    Case("Pods missing, and an image", live(SERVING, pods=PULL, is_short=True), IN_PROGRESS, DEGRADED),
    Case("an app unknown", live(service(True, active={})), IN_PROGRESS, PROGRESSING),
    Case(
        "upgrading while the old cluster serves",
        live(service(True, also="UpgradeInProgress", active={}, pending=DEPLOYING)), IN_PROGRESS, PROGRESSING,
    ),
    Case(
        "Pods of the new cluster failing",
        live(service(True, also="UpgradeInProgress", active={}, pending={}), pods=PULL), IN_PROGRESS, DEGRADED,
    ),
    Case(
        "failed for good on the new cluster",
        live(service(True, also="UpgradeInProgress", active={}, pending=FAILED)), FAILS, DEGRADED,
    ),
    Case(
        "rolling back", live(service(True, also="RollbackInProgress", active=RUNNING, pending={})),
        IN_PROGRESS, PROGRESSING,
    ),
    Case("no Gateway yet", live(SERVING, gateway=GatewaySeen(fault="not Programmed")), IN_PROGRESS, PROGRESSING),
    # Running, but not well.
    Case("failed for good in place", live(service(True, active=FAILED)), FAILS, DEGRADED),
    Case("failed for good in place, and the old replicas answer", live(service(True, active=HALTED)), FAILS, DEGRADED),
    Case("unhealthy", live(service(True, active=UNHEALTHY)), IN_PROGRESS, DEGRADED),
    Case("unsteady", unsteady(), IN_PROGRESS, DEGRADED),
    Case("no endpoints any more", live(service(False, active=RUNNING)), IN_PROGRESS, PROGRESSING),
    # Suspended.
    Case("to be suspended", live(service(True, seen=1, active=RUNNING), suspend=True), IN_PROGRESS, PROGRESSING),
    Case("suspending", live(service(False, "SuspendInProgress"), suspend=True), IN_PROGRESS, PROGRESSING),
    Case("suspended", live(service(False, "SuspendComplete"), suspend=True), IN_PROGRESS, SUSPENDED, flux=SUCCEEDS),
    # The operator leaves that as it is: whoever does it, like Kueue, ends it.
    Case("suspended by somebody else", live(held(service(False, "SuspendComplete"))), IN_PROGRESS, PROGRESSING),
    Case("being suspended by somebody else", live(held(service(False, "SuspendInProgress"))), IN_PROGRESS, PROGRESSING),
    Case("resumed", live(service(False, "SuspendComplete", seen=1)), IN_PROGRESS, PROGRESSING),
    Case(
        "suspended and rejected", live(service(False, "SuspendComplete"), apps={**HELLO, "helo": {}}, suspend=True),
        FAILS, DEGRADED,
    ),
]  # fmt: skip
BY_NAME = {case.name: case for case in CASES}
CONDITIONS = {
    (said["type"], said["reason"]) for case in CASES for said in case.document.get("status", {}).get("conditions", ())
}


def expressions() -> dict[str, str]:
    """The only entry of healthCheckExprs on the page."""
    (entry,) = (it for block in BLOCKS for it in block.get("spec", {}).get("healthCheckExprs", ()))
    assert (entry["apiVersion"], entry["kind"]) == (names.API_VERSION, names.KIND)
    return {name: entry[name] for name in ("inProgress", "failed", "current")}


@pytest.fixture(scope="module")
def by_kstatus() -> dict[str, str]:
    return dict(zip(BY_NAME, kstatus([case.document for case in CASES]), strict=True))


@pytest.fixture(scope="module")
def by_flux() -> dict[str, str]:
    return dict(zip(BY_NAME, kstatus([case.document for case in CASES], expressions()), strict=True))


def test_every_reason_is_in_the_table() -> None:
    every = {(kind.TYPE, str(value)) for kind in TYPES for value in vars(kind).values() if isinstance(value, Reason)}
    assert every - CONDITIONS == set()


def test_only_what_runs_as_asked_is_a_success() -> None:
    succeed = {case.name for case in CASES if case.kstatus == SUCCEEDS or case.argo_cd == HEALTHY}
    # With the class as it was: the spec itself is carried out.
    running = {"running", "a class that waits for others"}
    assert (succeed, {case.name for case in CASES if case.flux == SUCCEEDS}) == (running, {"suspended"})


@pytest.mark.parametrize("name", BY_NAME)
def test_kstatus(name: str, by_kstatus: dict[str, str]) -> None:
    assert by_kstatus[name] == BY_NAME[name].kstatus


@pytest.mark.parametrize("name", BY_NAME)
def test_flux_with_the_expressions_of_the_page(name: str, by_flux: dict[str, str]) -> None:
    # Flux goes on waiting if there is no status to look at.
    found = IN_PROGRESS if by_flux[name] == "Unknown" else by_flux[name]
    assert found == (BY_NAME[name].flux or BY_NAME[name].kstatus)


@pytest.mark.parametrize("name", BY_NAME)
def test_argo_cd(name: str) -> None:
    health, message = argo_cd(BY_NAME[name].document)
    assert health == BY_NAME[name].argo_cd
    assert message


def test_a_pipeline_that_is_being_deleted() -> None:
    """Argo CD does not ask a health check then."""
    running = live(SERVING)
    deleted = {**running, "metadata": {**running["metadata"], "deletionTimestamp": NOW}}
    assert (kstatus([deleted]), kstatus([deleted], expressions())) == (["Terminating"], [IN_PROGRESS])


def test_argo_cd_gives_the_message_of_the_cause() -> None:
    assert argo_cd(BY_NAME["failed for good in place"].document)[1] == "app hello is DEPLOY_FAILED: The actor died."
    assert "3 Insufficient nvidia.com/gpu" in argo_cd(BY_NAME["Pods pending"].document)[1]


@pytest.mark.parametrize(
    "status",
    [
        None, {}, {"observedGeneration": None, "conditions": None}, {"observedGeneration": GENERATION},
        {"observedGeneration": GENERATION, "conditions": []},
        {"observedGeneration": GENERATION, "conditions": [{"type": "Ready", "status": "True"}]},
        {"observedGeneration": GENERATION, "conditions": [
            {"type": "Ready", "status": None, "reason": None, "message": None, "observedGeneration": GENERATION}]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("spec", [None, {}, {"suspend": None}])
def test_argo_cd_with_half_a_status(status: Document | None, spec: Document | None) -> None:
    document = {"metadata": {"generation": GENERATION}, "spec": spec, "status": status}
    assert argo_cd(document)[0] == PROGRESSING


def test_the_health_check_knows_the_reasons_of_conditions() -> None:
    table = re.search(r"^local failures = \{(.*)\}$", HEALTH_CHECK.read_text(), re.MULTILINE)
    assert table
    assert set(re.findall(r"(\w+) = true", table[1])) <= {str(reason) for reason in reasons()}


def test_the_page_installs_the_check_for_our_kind_and_ignores_a_field_that_exists() -> None:
    assert f"resource.customizations.health.{names.GROUP}_{names.KIND}" in PAGE
    (ignored,) = (it for block in BLOCKS for it in block.get("spec", {}).get("ignoreDifferences", ()))
    assert (ignored["group"], ignored["kind"]) == (names.GROUP, names.KIND)
    field: Any = openapi_schema()
    for part in ignored["jsonPointers"][0].strip("/").split("/"):
        field = field["properties"][part]
    assert field["type"] == "integer"
