"""What an edit of a RayService does, by KubeRay's rules."""

import copy
from typing import Any

import pytest

from llmpipeline.effect import Kind, cluster_spec_for_hash, differences, effect_of, is_new_cluster
from llmpipeline.kuberay.conventions import INCREMENTAL
from support.kuberay.rayservices import (
    TOLERATION,
    Change,
    app,
    appends,
    as_kuberay_writes_it,
    cluster_of,
    edited,
    group,
    of_container,
    of_group,
    of_metadata,
    of_pod,
    of_spec,
    rayservice,
    resources,
    serves,
    sets,
)

NEW_CLUSTER = {
    "image": of_container("image", "other"),
    "env": of_container("env", [{"name": "A", "value": "1"}]),
    "memory": of_container("resources", resources(memory="16Gi")),
    "another unit of the same amount": of_container("resources", resources(memory="8589934592")),
    "ray version": sets("rayVersion", to="2.61.0"),
    "group renamed": of_group("groupName", "other"),
    "group removed": sets("workerGroupSpecs", to=[]),
    "group put first": lambda made: cluster_of(made)["workerGroupSpecs"].insert(0, group("first")),
    "group suspended": of_group("suspend", True),
    "pointer to false": sets("enableInTreeAutoscaling", to=False),
    "empty pointer": of_pod("securityContext", {}),
    "start parameters": of_group("rayStartParams", {"num-cpus": ""}),
    "hosts": of_group("numOfHosts", 2),
    "priority": of_group("priority", 1),
    "pod label": sets("workerGroupSpecs", 0, "template", "metadata", "labels", to={"a": ""}),
    "head": sets("headGroupSpec", "rayStartParams", to={"num-cpus": "0"}),
    "service account token": of_pod("automountServiceAccountToken", False),
}
SAME_CLUSTER = {
    "bounds": of_group("maxReplicas", 9),
    "replicas": of_group("replicas", 2),
    "workers to delete": of_group("scaleStrategy", {"workersToDelete": ["pod"]}),
    "tolerations": of_pod("tolerations", [TOLERATION]),
    "scheduling gates": of_pod("schedulingGates", [{"name": "gate"}]),
    "head tolerations": sets("headGroupSpec", "template", "spec", "tolerations", to=[TOLERATION]),
    "suspend of the cluster": sets("suspend", to=True),
    "upgrade strategy of the cluster": sets("upgradeStrategy", to={"type": "None"}),
    "appended group": appends(group("second")),
    "same quantity": of_container("resources", resources(memory="8192Mi", **{"nvidia.com/gpu": 2})),
    "empty list": of_container("env", []),
    "empty text": of_pod("serviceAccountName", ""),
    "plain false": of_pod("hostNetwork", False),
    "empty map": of_pod("nodeSelector", {}),
    "null": of_pod("affinity", None),
    "defaulted port": of_container("ports", [{"name": "serve", "containerPort": 8000}]),
    "no defaults": lambda made: [
        cluster_of(made)["workerGroupSpecs"][0].pop(key) for key in ("numOfHosts", "priority", "scaleStrategy")
    ],
}


@pytest.mark.parametrize("change", NEW_CLUSTER.values(), ids=NEW_CLUSTER)
def test_what_is_hashed_makes_a_new_cluster(change: Change) -> None:
    old, new = rayservice(), edited(change)
    assert is_new_cluster(old, new)
    assert is_new_cluster(as_kuberay_writes_it(old), new)
    assert effect_of(old, new).kind == "NewCluster"


@pytest.mark.parametrize("change", SAME_CLUSTER.values(), ids=SAME_CLUSTER)
def test_what_is_not_hashed_does_not(change: Change) -> None:
    old, new = rayservice(), edited(change)
    assert not is_new_cluster(old, new)
    assert not is_new_cluster(as_kuberay_writes_it(old), new)
    assert effect_of(old, new).kind != "NewCluster"


def test_what_kuberay_writes_back_is_no_difference() -> None:
    old = as_kuberay_writes_it(rayservice())
    effect = effect_of(old, rayservice())
    assert (effect.kind, effect.message, effect.fields) == ("Unchanged", "Nothing changes.", ())
    assert cluster_spec_for_hash(cluster_of(old)) == cluster_spec_for_hash(cluster_of(rayservice()))


def test_a_group_taken_away_from_the_end_is_a_new_cluster() -> None:
    assert is_new_cluster(rayservice(group("a"), group("b")), rayservice(group("a")))


def test_a_cluster_without_groups_takes_the_first_in_place() -> None:
    old = edited(sets("workerGroupSpecs", to=[]))
    assert not is_new_cluster(old, rayservice())
    assert effect_of(old, rayservice()).kind == "AddWorkers"


def test_appended_groups_beside_another_change_are_a_new_cluster() -> None:
    assert is_new_cluster(rayservice(), edited(appends(group("b")), of_container("image", "other")))


def test_a_cluster_spec_is_not_changed_by_looking_at_it() -> None:
    made = rayservice()
    before = copy.deepcopy(made)
    effect_of(made, edited(of_pod("tolerations", [TOLERATION]), of_group("maxReplicas", 5)))
    assert made == before


EFFECTS: dict[str, tuple[list[Change], Kind, str]] = {
    "nothing": ([], "Unchanged", "Nothing changes."),
    "layout of the Serve config": (
        [of_spec("serveConfigV2", rayservice()["spec"]["serveConfigV2"] + "\n")],
        "Unchanged",
        "Nothing changes.",
    ),
    "replicas of a deployment": (
        [serves(app(deployments=[{"name": "Model", "num_replicas": 2, "ray_actor_options": {"num_cpus": 1}}]))],
        "InPlace",
        "changes app chat in place; no replica restarts",
    ),
    "resources of a deployment": (
        [serves(app(deployments=[{"name": "Model", "num_replicas": 1, "ray_actor_options": {"num_cpus": 2}}]))],
        "InPlace",
        "restarts every replica of Model in app chat",
    ),
    "arguments": ([serves(app(args={"model": "b"}))], "InPlace", "restarts every replica of app chat"),
    "app added": ([serves(app(), app("more"))], "InPlace", "adds app more"),
    "app removed": ([serves()], "InPlace", "removes app chat: requests to it fail"),
    "logging of Serve": (
        [serves(app(), logging_config={"encoding": "JSON"})],
        "InPlace",
        "applies its settings at once",
    ),
    "port of Serve": ([serves(app(), http_options={"port": 1})], "Ignored", "ignores spec.serveConfigV2.http_options"),
    "a Serve config in YAML": (
        [of_spec("serveConfigV2", "applications: []\n")],
        "InPlace",
        "changes the apps in place",
    ),
    "deletion delay": ([of_spec("rayClusterDeletionDelaySeconds", 5)], "InPlace", "from the next new Ray cluster on"),
    "head out of the Service": ([of_spec("excludeHeadPodFromServeSvc", True)], "InPlace", "removes the head Pod from"),
    "strategy": ([of_spec("upgradeStrategy", {"type": "None"})], "InPlace", "applies from the next update on"),
    "serving Service": ([of_spec("serveService", {"spec": {"type": "NodePort"}})], "Ignored", "spec.serveService"),
    "label": ([of_metadata("labels", {"app": "other"})], "Unchanged", "only to Ray clusters that it creates"),
    "initializing timeout": (
        [of_metadata("annotations", {"ray.io/initializing-timeout": "5m"})],
        "InPlace",
        "initializing timeout applies at once",
    ),
    "a field that KubeRay does not read": (
        [of_spec("serviceUnhealthySecondThreshold", 9)],
        "Unchanged",
        "Nothing that runs",
    ),
    "maximum raised": ([of_group("maxReplicas", 5)], "LivePatch", "writes the bounds of worker group l4"),
    "maximum lowered": ([of_group("maxReplicas", 1)], "LivePatch", "stopped at once, idle ones first"),
    "tolerations": ([of_pod("tolerations", [TOLERATION])], "LivePatch", "delete a pending Pod"),
    "replicas alone": ([of_group("replicas", 2)], "Ignored", "replicas, which the autoscaler sets"),
    "scheduling gates": ([of_pod("schedulingGates", [{"name": "gate"}])], "Ignored", "ignores schedulingGates"),
    "suspend of the cluster": ([sets("suspend", to=True)], "Ignored", "spec.rayClusterConfig.suspend"),
    "appended group": ([appends(group("b"))], "AddWorkers", "adds the worker groups b to the live Ray cluster"),
    "appended group and bounds": (
        [appends(group("b")), of_group("maxReplicas", 5)],
        "AddWorkers",
        "starts again from the",
    ),
    "bounds and Serve": ([of_group("maxReplicas", 5), serves(app(args={}))], "LivePatch", "restarts every replica"),
    "Serve and a Service that waits": (
        [serves(app(), app("more")), of_spec("serveService", {"spec": {"type": "NodePort"}})],
        "InPlace",
        "ignores spec.serveService",
    ),
    "cluster": ([of_container("image", "other")], "NewCluster", "deleted 60 s after"),
    "cluster and Serve": ([of_container("image", "other"), serves()], "NewCluster", "as before the change"),
    "cluster with a delay": (
        [of_container("image", "other"), of_spec("rayClusterDeletionDelaySeconds", 0)],
        "NewCluster",
        "deleted 0 s after",
    ),
    "cluster with strategy None": (
        [of_container("image", "other"), of_spec("upgradeStrategy", {"type": "None"})],
        "Ignored",
        "waits until the strategy is another",
    ),
    "cluster with strategy None, and Serve": (
        [of_container("image", "other"), of_spec("upgradeStrategy", {"type": "None"}), serves(app(), app("more"))],
        "Ignored",
        "adds app more",
    ),
    "suspended": ([of_spec("suspend", True), of_container("image", "other")], "Suspend", "requests fail until"),
}


@pytest.mark.parametrize(("changed", "kind", "says"), EFFECTS.values(), ids=EFFECTS)
def test_effect(changed: list[Change], kind: Kind, says: str) -> None:
    effect = effect_of(rayservice(), edited(*changed))
    assert effect.kind == kind
    assert says in effect.message


def test_removed_bounds_are_told_by_what_stops_the_pods() -> None:
    fixed = edited(sets("enableInTreeAutoscaling", to=False))
    effect = effect_of(fixed, edited(of_group("maxReplicas", 1), base=fixed))
    assert "idle or not" in effect.message


def test_a_strategy_other_than_none_lets_waiting_changes_through() -> None:
    waiting = rayservice(upgradeStrategy={"type": "None"})
    assert "now create a new one" in effect_of(waiting, rayservice()).message


def test_resume_brings_everything_back() -> None:
    suspended = rayservice(suspend=True)
    effect = effect_of(suspended, edited(of_container("image", "other")))
    assert (effect.kind, effect.gpus_before, effect.gpus_after) == ("Resume", (0, 0), (2, 4))


def test_while_suspended_nothing_runs() -> None:
    suspended = rayservice(suspend=True)
    effect = effect_of(suspended, edited(of_container("image", "other"), base=suspended))
    assert (effect.kind, effect.gpus_after) == ("Unchanged", (0, 0))
    assert "when it is resumed" in effect.message
    assert effect_of(suspended, suspended).message == "Nothing changes."


def test_suspend_false_is_as_good_as_absent() -> None:
    assert effect_of(rayservice(), rayservice(suspend=False)).fields == ()


def test_create() -> None:
    effect = effect_of(None, rayservice())
    assert (effect.kind, effect.gpus_before, effect.gpus_after, effect.gpus_more) == ("Create", (0, 0), (2, 4), 0)
    suspended = effect_of(None, rayservice(suspend=True))
    assert (suspended.kind, suspended.gpus_after) == ("Create", (0, 0))


@pytest.mark.parametrize(
    ("changed", "before", "after", "more"),
    [
        ([of_group("maxReplicas", 5)], (2, 4), (2, 10), 0),
        ([appends(group("b", 0, 3, 1))], (2, 4), (2, 7), 0),
        ([of_container("image", "other")], (2, 4), (2, 4), 2),
        ([of_container("image", "other"), of_group("minReplicas", 2)], (2, 4), (4, 4), 4),
        ([of_container("image", "other"), of_group("replicas", 2)], (2, 4), (2, 4), 4),
        ([of_container("image", "other"), of_group("replicas", 9)], (2, 4), (2, 4), 4),
        ([of_group("numOfHosts", 2)], (2, 4), (4, 8), 4),
        ([of_group("suspend", True)], (2, 4), (0, 0), 0),
        ([of_container("resources", resources(**{"nvidia.com/gpu": "8"}))], (2, 4), (8, 16), 8),
        ([of_container("resources", {"limits": {"nvidia.com/mig-2g.20gb": 1}})], (2, 4), (1, 2), 1),
        ([of_container("resources", {"limits": {"google.com/tpu": "4"}})], (2, 4), (4, 8), 4),
        ([of_container("resources", {"limits": {"nvidia.com/gpumem": "4"}})], (2, 4), (0, 0), 0),
        ([of_container("image", "other"), of_spec("upgradeStrategy", {"type": "None"})], (2, 4), (2, 4), 0),
        ([of_group("numOfHosts", 2), of_spec("upgradeStrategy", {"type": "None"})], (2, 4), (2, 4), 0),
    ],
)
def test_gpus(changed: list[Change], before: tuple[int, int], after: tuple[int, int], more: int) -> None:
    effect = effect_of(rayservice(), edited(*changed))
    assert (effect.gpus_before, effect.gpus_after, effect.gpus_more) == (before, after, more)


def test_an_incremental_upgrade_starts_with_the_fewest_pods() -> None:
    options = {"maxSurgePercent": 20, "stepSizePercent": 10, "intervalSeconds": 30, "gatewayClassName": "istio"}
    strategy = {"type": INCREMENTAL, "clusterUpgradeOptions": options}
    new = edited(of_container("image", "other"), of_group("replicas", 2), of_spec("upgradeStrategy", strategy))
    effect = effect_of(rayservice(upgradeStrategy=strategy), new)
    assert (effect.kind, effect.gpus_more) == ("NewCluster", 2)
    assert "20 % at a time" in effect.message
    assert "10 % every 30 s, so in at least 300 s" in effect.message


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("", INCREMENTAL, "Send requests to the Gateway {}-gateway from now on: a Service {}-serve-svc that is there"),
        (INCREMENTAL, "", "Send requests to the Service {}-serve-svc from now on: a Gateway {}-gateway that is there"),
    ],
)
def test_another_strategy_moves_where_requests_go(before: str, after: str, says: str) -> None:
    """KubeRay keeps the Service of one strategy, or the Gateway of the other, at the Ray cluster that runs now."""
    old, new = (rayservice(upgradeStrategy={"type": it}) if it else rayservice() for it in (before, after))
    effect = effect_of(old, new)
    name = old["metadata"]["name"]
    assert effect.kind == "InPlace"
    assert says.format(name, name) in effect.message
    assert "answers no more when the next update deletes that" in effect.message


def test_another_gateway_class_applies_at_once() -> None:
    strategies = [{"type": INCREMENTAL, "clusterUpgradeOptions": {"gatewayClassName": it}} for it in ("a", "b")]
    effect = effect_of(*(rayservice(upgradeStrategy=it) for it in strategies))
    assert effect.kind == "InPlace"
    assert "-gateway gets its other class at once" in effect.message


def test_the_fields_are_the_rayservices_and_apps_go_by_name() -> None:
    effect = effect_of(rayservice(), edited(of_group("maxReplicas", 5), serves(app(args={"x": 1}))))
    assert effect.fields == (
        "spec.serveConfigV2.apps.chat.args",
        "spec.rayClusterConfig.workerGroupSpecs[l4].maxReplicas",
    )


def test_the_order_of_groups_is_a_difference() -> None:
    effect = effect_of(rayservice(group("a"), group("b")), rayservice(group("b"), group("a")))
    assert effect.kind == "NewCluster"
    assert effect.fields == ("spec.rayClusterConfig.workerGroupSpecs (order)",)


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, ["a.b", "a.c"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a[1]"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a"]),
        ({"l": {"x/y.z": "1"}}, {"l": {"x/y.z": "2"}}, ["l[x/y.z]"]),
        ([{"name": "a", "v": 1}], [{"name": "a", "v": 2}, {"name": "b"}], ["[a].v", "[b]"]),
        ([{"name": "a"}, {"name": "a"}], [{"name": "a"}], [""]),
    ],
)
def test_differences(before: Any, after: Any, fields: list[str]) -> None:
    assert [difference.field for difference in differences(before, after)] == fields
