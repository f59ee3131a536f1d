"""What every Ray Pod has, whatever it serves: its time to drain, its token or none, and who keeps it from drains."""

from typing import Any

import pytest

from llmpipeline.names import Manifest
from support.pipelines import desired_of, pipeline, plan_of

TWO = {"name": "hello", "hello": {"replicas": 2}}
DRAIN = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


def service(*apps: Manifest, **spec: Any) -> Manifest:
    found: Manifest = desired_of(pipeline(*apps, **spec)).service["spec"]
    return found


def pods(spec: Manifest) -> list[Manifest]:
    cluster = spec["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("seconds", [10, 120, 3600])
def test_the_clocks_of_a_drain_end_one_after_the_other(seconds: int) -> None:
    """A replica first, then Ray's drain of the node, and the Pod last."""
    for pod in pods(service(drainSeconds=seconds)):
        (ray,) = pod["containers"]
        drain = next(int(item["value"]) for item in ray["env"] if item["name"] == DRAIN)
        assert seconds < drain < pod["terminationGracePeriodSeconds"]


def test_a_worker_stays_connected_to_the_head_that_it_asks_for_its_drain() -> None:
    """When a Ray cluster is deleted, the name of its head is gone before its workers have stopped."""
    for pod in pods(service()):
        said = {item["name"]: item["value"] for item in pod["containers"][0]["env"]}
        assert said["RAY_grpc_client_idle_timeout_ms"] == "2147483647"


def test_only_the_autoscaler_has_a_token() -> None:
    spec = service()
    mounts = [mount["mountPath"] for mount in spec["rayClusterConfig"]["autoscalerOptions"]["volumeMounts"]]
    assert mounts == ["/var/run/secrets/kubernetes.io/serviceaccount"]
    for pod in pods(spec):
        assert pod["automountServiceAccountToken"] is False
        assert not any("secrets" in mount["mountPath"] for mount in pod["containers"][0].get("volumeMounts", ()))
    head, *_ = pods(spec)
    (volume,) = head["volumes"]
    (token,) = (item["serviceAccountToken"] for item in volume["projected"]["sources"] if "serviceAccountToken" in item)
    assert token["expirationSeconds"] == 3600


def budgets(*apps: Manifest, **spec: Any) -> list[int]:
    made = desired_of(pipeline(*apps, **spec)).companions
    return [item["spec"]["minAvailable"] for item in made if item["kind"] == "PodDisruptionBudget"]


@pytest.mark.parametrize(
    ("least", "spec", "expected"),
    [
        (1, {}, []),
        (2, {}, [1]),
        (5, {}, [4]),
        (5, {"disruption": {"minAvailableWorkers": 2}}, [2]),
        (5, {"disruption": {"minAvailableWorkers": 0}}, []),
        (1, {"disruption": {"minAvailableWorkers": 1}}, [1]),
    ],
)
def test_drains_leave_all_workers_but_one(least: int, spec: Manifest, expected: list[int]) -> None:
    workers = [{"name": "cpu", "minReplicas": least, "maxReplicas": 8}]
    assert budgets(workers=workers, **spec) == expected


@pytest.mark.parametrize(("least", "noted"), [(0, False), (1, True)])
def test_a_budget_that_is_turned_off_blocks_no_drain(least: int, noted: bool) -> None:
    """Also where there may be no worker at all."""
    workers = [{"name": "cpu", "minReplicas": 0, "maxReplicas": 2}]
    notes = plan_of(pipeline(workers=workers, disruption={"minAvailableWorkers": least})).notes
    assert any("can be drained" in note for note in notes) is noted


@pytest.mark.parametrize(
    ("app", "least", "head", "excluded"),
    [
        (TWO, 2, {}, True),
        (TWO, 1, {}, False),  # nobody answers while the one worker is replaced; the head holds the requests
        ({"name": "hello", "hello": {}}, 2, {}, False),
        ({"name": "hello", "hello": {"autoscaling": {"minReplicas": 0, "maxReplicas": 4}}}, 2, {}, False),
        (TWO, 2, {"cpusForReplicas": 1}, False),
    ],
)
def test_the_service_leaves_the_head_out_if_two_workers_always_answer(
    app: Manifest, least: int, head: Manifest, excluded: bool
) -> None:
    workers = [{"name": "cpu", "minReplicas": least, "maxReplicas": 4}]
    spec = service(app, workers=workers, **({"head": head} if head else {}))
    assert spec.get("excludeHeadPodFromServeSvc", False) is excluded


def test_two_workers_of_different_groups_are_no_pair() -> None:
    workers = [
        {"name": "gpu", "accelerator": {"type": "L4"}, "minReplicas": 1, "maxReplicas": 1},
        {"name": "cpu", "minReplicas": 1, "maxReplicas": 1},
    ]
    parts = {"name": "hello", "hello": {"replicas": 2, "resources": {"gpus": "400m", "accelerator": {"type": "L4"}}}}
    assert "excludeHeadPodFromServeSvc" not in service(parts, workers=workers)
