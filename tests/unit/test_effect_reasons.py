"""Why a change makes a new Ray cluster, in the user's words; and what a change does to an upgrade in progress."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from llmpipeline import desired
from llmpipeline.desired import Desired
from llmpipeline.effect import effect_of, fields, reasons
from llmpipeline.effect.in_flight import during_upgrade
from llmpipeline.kuberay.conventions import INCREMENTAL
from llmpipeline.names import Manifest
from llmpipeline.render.platform import Platform
from support.kuberay.rayservices import Change, appends, edited, group, of_container, of_group, of_pod, of_spec, serves
from support.kuberay.rayservices import rayservice as a_rayservice
from support.pipelines import Document, model, openai, pipeline

PLATFORM = Platform(labels=("team",), annotations=("example.com/",))
Edit = Callable[[Document], object]


def worker(name: str, **more: Any) -> Document:
    return {"name": name, "accelerator": {"type": "L4"}, "minReplicas": 1, "maxReplicas": 3, **more}


def derived() -> Document:
    return pipeline(openai(model("qwen")))


def given(*workers: Document) -> Document:
    return pipeline(openai(model("qwen")), workers=list(workers) or [worker("a"), worker("b"), worker("c")])


def of_model(**more: Any) -> Edit:
    return lambda document: document["spec"]["apps"][0]["openai"]["models"][0].update(more)


def of_ray(**more: Any) -> Edit:
    return lambda document: document["spec"]["ray"].update(more)


def of_pipeline(**more: Any) -> Edit:
    return lambda document: document["spec"].update(more)


def labelled(**more: Any) -> Edit:
    return lambda document: document["metadata"].update(more)


def rendered(document: Document) -> Desired:
    found = desired.compile(document, PLATFORM)
    assert isinstance(found, Desired), found.problems
    return found


def why(old: Document, change: Edit) -> list[tuple[str, str, str]]:
    new = copy.deepcopy(old)
    change(new)
    before, after = rendered(old).service, rendered(new)
    assert effect_of(before, after.service).kind == "NewCluster"
    found = reasons(before, after.service, is_derived=not after.pipeline.spec.workers)
    return [(it.field, it.reason, it.remedy) for it in found]


TOKEN = {"huggingFace": {"repository": "a/b", "tokenSecretRef": {"name": "token", "key": "token"}}}
CACHE = {"path": "/models", "claimName": "models"}
STEP: Document = {"name": "s", "custom": {"importPath": "a:b", "code": {"configMap": "one"}}}
STEPS = pipeline({"name": "app", "graph": {"nodes": [STEP]}})


def with_code(name: str) -> Edit:
    return lambda document: document["spec"]["apps"][0]["graph"]["nodes"][0]["custom"]["code"].update(configMap=name)


FIELDS: dict[str, tuple[Document, Edit, str, str]] = {
    "image": (derived(), of_ray(image="other"), "ray.image", fields.TOGETHER),
    "code": (STEPS, with_code("other"), "apps[].graph.nodes[].custom.code", fields.TOGETHER),
    "pull policy": (derived(), of_ray(imagePullPolicy="Always"), "ray.imagePullPolicy", fields.TOGETHER),
    "pull secrets": (derived(), of_ray(imagePullSecrets=[{"name": "a"}]), "ray.imagePullSecrets", fields.TOGETHER),
    "version": (derived(), of_ray(version="2.61.0"), "ray.version", fields.TOGETHER),
    "authentication": (derived(), of_ray(authentication="Disabled"), "ray.authentication", fields.TOGETHER),
    "performance": (derived(), of_ray(performance="Plain"), "ray.performance", fields.TOGETHER),
    "pod security": (derived(), of_ray(podSecurity="Unset"), "ray.podSecurity", fields.TOGETHER),
    "account": (derived(), of_ray(serviceAccountName="a"), "ray.serviceAccountName", fields.TOGETHER),
    "model cache": (derived(), of_ray(modelCache=CACHE), "ray.modelCache", fields.TOGETHER),
    "variable": (
        derived(),
        of_ray(env=[{"name": "HF_HUB_OFFLINE", "value": "1"}]),
        "ray.env[HF_HUB_OFFLINE]",
        fields.TOGETHER,
    ),
    "drain": (derived(), of_pipeline(drainSeconds=300), "drainSeconds", fields.TOGETHER),
    "tracing": (
        derived(),
        of_pipeline(monitoring={"tracing": {"endpoint": "http://otel:4317"}}),
        "monitoring.tracing",
        fields.TOGETHER,
    ),
    "token": (derived(), of_model(source=TOKEN), "apps[].tokenSecretRef", fields.TOGETHER),
    "autoscaler": (
        derived(),
        of_pipeline(autoscaler={"idleTimeoutSeconds": 30}),
        "autoscaler.idleTimeoutSeconds",
        fields.TOGETHER,
    ),
    "fault tolerance": (
        derived(),
        of_pipeline(head={"faultTolerance": {"redis": {"address": "redis:6379"}}}),
        "head.faultTolerance",
        fields.TOGETHER,
    ),
    "head": (derived(), of_pipeline(head={"resources": {"cpus": "3"}}), "head.resources", fields.TOGETHER),
    "head's CPUs": (derived(), of_pipeline(head={"cpusForReplicas": 1}), "head.cpusForReplicas", fields.TOGETHER),
    "head's nodes": (derived(), of_pipeline(head={"nodeSelector": {"a": "b"}}), "head.nodeSelector", fields.TOGETHER),
    "head's template": (
        derived(),
        of_pipeline(head={"podTemplate": {"spec": {"priorityClassName": "high"}}}),
        "head.podTemplate",
        fields.UNDO,
    ),
    "spot": (derived(), of_pipeline(workerDefaults={"spot": True}), "workerDefaults.spot", fields.TOGETHER),
    "spot of a group": (
        given(),
        of_pipeline(workers=[worker("a"), worker("b"), worker("c", spot=True)]),
        "workers[c].spot",
        fields.TOGETHER,
    ),
    "nodes of all groups": (
        given(),
        of_pipeline(workerDefaults={"nodeSelector": {"a": "b"}}),
        "workerDefaults.nodeSelector",
        fields.TOGETHER,
    ),
    "template of all groups": (
        given(),
        of_pipeline(workerDefaults={"podTemplate": {"spec": {"volumes": [{"name": "x", "emptyDir": {}}]}}}),
        "workerDefaults.podTemplate",
        fields.UNDO,
    ),
    "apps ask for other Pods": (
        derived(),
        of_model(resources={"cpus": "15"}),
        "apps[].resources",
        fields.GIVE_WORKERS,
    ),
    "other GPUs": (derived(), of_model(accelerator={"type": "L40S"}), "apps", fields.GIVE_WORKERS),
    "memory of a group": (
        given(),
        of_pipeline(workers=[worker("a"), worker("b"), worker("c", resources={"memory": "99Gi"})]),
        "workers[c].resources",
        fields.ROOM,
    ),
    "GPUs of a group": (
        given(),
        of_pipeline(workers=[worker("a"), worker("b"), worker("c", accelerator={"type": "H100"})]),
        "workers[c].accelerator",
        fields.NEW_KIND,
    ),
    "hosts of a group": (
        given(),
        of_pipeline(workers=[worker("a"), worker("b"), worker("c", hosts=2)]),
        "workers[c].hosts",
        fields.ROOM,
    ),
    "label": (derived(), labelled(labels={"team": "a"}), "metadata.labels[team]", fields.UNDO),
    "annotation": (
        derived(),
        labelled(annotations={"example.com/cost": "a"}),
        "metadata.annotations[example.com/cost]",
        fields.UNDO,
    ),
}


@pytest.mark.parametrize(("old", "change", "field", "remedy"), FIELDS.values(), ids=FIELDS)
def test_a_field_gives_one_reason(old: Document, change: Edit, field: str, remedy: str) -> None:
    ((found, reason, what_to_do),) = why(old, change)
    assert (found, what_to_do) == (field, remedy)
    assert reason == f"{field} changes" or field == "apps"


GROUPS: dict[str, tuple[list[str], str, str]] = {
    "removed": (["a", "b"], "worker group c is removed", fields.SHRINK),
    "renamed": (["a", "x", "c"], "worker group b is renamed to x", fields.KEEP_NAME),
    "added before others": (["a", "n", "b", "c"], "worker group n is added before others", fields.APPEND),
    "another order": (["b", "a", "c"], "the order of the worker groups changes", fields.KEEP_ORDER),
}


@pytest.mark.parametrize(("names", "reason", "remedy"), GROUPS.values(), ids=GROUPS)
def test_groups_that_come_and_go(names: list[str], reason: str, remedy: str) -> None:
    workers = [worker(name, priority=7) if name == "n" else worker(name) for name in names]
    assert why(given(), of_pipeline(workers=workers)) == [("workers", reason, remedy)]


def test_several_reasons() -> None:
    workers = [worker("a"), worker("b", priority=3), worker("c")]

    def change(document: Document) -> None:
        of_ray(image="other")(document)
        of_pipeline(workers=workers)(document)

    assert [field for field, _, _ in why(given(), change)] == ["ray.image", "workers[b].priority"]


def test_what_the_user_did_not_touch_is_a_change_of_llmpipeline() -> None:
    """The cluster was rendered by an older version, which had another time to drain and no variable X."""
    live = rendered(derived()).service
    for part in (live["spec"]["rayClusterConfig"]["headGroupSpec"], *_groups(live)):
        part["template"]["spec"]["containers"][0]["env"].insert(0, {"name": "RAY_OLD", "value": "1"})
    new = derived()
    of_ray(image="other")(new)
    unedited, wanted = rendered(derived()).service, rendered(new).service
    found = reasons(live, wanted, is_derived=True, unedited=unedited)
    assert {(it.field, it.remedy) for it in found} == {
        ("ray.image", fields.TOGETHER),
        ("ray.env[RAY_OLD]", fields.OUR_CHANGE),
    }


def test_a_field_that_no_field_of_a_pipeline_sets() -> None:
    found = reasons(a_rayservice(), edited(of_pod("automountServiceAccountToken", False)), is_derived=False)
    ((field, remedy),) = [(it.field, it.remedy) for it in found]
    assert field == "spec.rayClusterConfig.workerGroupSpecs[l4].template.spec.automountServiceAccountToken"
    assert remedy == fields.OUR_CHANGE


def _groups(service: Manifest) -> list[Manifest]:
    found: list[Manifest] = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return found


# Upgrades in progress.


def upgrading(*changes: Change, rolling_back: bool = False, **spec: Any) -> Manifest:
    made = edited(*changes, base=a_rayservice(**spec))
    conditions = [{"type": "UpgradeInProgress", "status": "True"}]
    if rolling_back:
        conditions.append({"type": "RollbackInProgress", "status": "True"})
    made["status"] = {
        "conditions": conditions,
        "activeServiceStatus": {"rayClusterName": "old"},
        "pendingServiceStatus": {"rayClusterName": "new"},
    }
    return made


STEPS = {"upgradeStrategy": {"type": INCREMENTAL, "clusterUpgradeOptions": {"gatewayClassName": "g"}}}
IN_FLIGHT: dict[str, tuple[Manifest, list[Change], str]] = {
    "another cluster": (
        upgrading(),
        [of_container("image", "third")],
        "KubeRay gives up new and creates another cluster at once. new is deleted 60 s later",
    ),
    "another cluster, step by step": (
        upgrading(**STEPS),
        [of_container("image", "third")],
        "KubeRay first moves all requests back to old, gives up new",
    ),
    "another cluster, while rolling back": (
        upgrading(rolling_back=True, **STEPS),
        [of_container("image", "third")],
        "KubeRay goes on moving all requests back to old",
    ),
    "groups": (upgrading(), [appends(group("more"))], "adds the worker groups to new, not to old"),
    "bounds": (upgrading(), [of_group("maxReplicas", 9)], "writes into the live Ray cluster when it has ended"),
    "apps": (upgrading(), [serves()], "gives the new Serve config to new alone, and old keeps the one it has"),
    "apps, while rolling back": (
        upgrading(rolling_back=True, **STEPS),
        [serves()],
        "gives the new Serve config to old alone, and new keeps the one it has",
    ),
    "suspend": (upgrading(), [of_spec("suspend", True)], "KubeRay deletes both old and new"),
    "strategy None": (
        upgrading(upgradeStrategy={"type": "None"}),
        [of_container("image", "third")],
        "An upgrade is in progress, and goes on.",
    ),
    "nothing": (upgrading(), [], ""),
}


@pytest.mark.parametrize(("live", "changes", "says"), IN_FLIGHT.values(), ids=IN_FLIGHT)
def test_an_upgrade_in_progress(live: Manifest, changes: list[Change], says: str) -> None:
    new = edited(*changes, base=live)
    text = during_upgrade(live, new, effect_of(live, new))
    assert says in text
    assert bool(says) == bool(text)


def test_without_an_upgrade_there_is_nothing_to_say() -> None:
    new = edited(of_container("image", "third"))
    assert during_upgrade(a_rayservice(), new, effect_of(a_rayservice(), new)) == ""
