"""Looking at Pods is bounded, whoever made them, and a look that did not see all does not count what is missing."""

from collections.abc import AsyncIterator
from typing import Any

from llmpipeline.cluster.look import look

SERVICE = {
    "metadata": {"namespace": "ml", "name": "a", "uid": "service", "generation": 1},
    "status": {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "True"}],
        "activeServiceStatus": {"rayClusterName": "a-1", "applicationStatuses": {"hello": {"status": "RUNNING"}}},
    },
}


class FakeCluster:
    """One RayCluster, and so many Pods with its label."""

    def __init__(self, owner: str, count: int) -> None:
        self._owner, self._count, self.read = owner, count, 0

    async def raycluster(self, _key: Any) -> dict[str, Any]:
        owners = [{"uid": "service", "controller": True}]
        metadata = {"namespace": "ml", "name": "a-1", "uid": "cluster", "ownerReferences": owners}
        return {"metadata": metadata, "spec": {"workerGroupSpecs": [{"groupName": "g", "minReplicas": 5000}]}}

    async def pods(self, _key: Any) -> AsyncIterator[dict[str, Any]]:
        for number in range(self._count):
            self.read += 1
            labels = {"ray.io/node-type": "worker", "ray.io/group": "g"}
            owners = [{"uid": self._owner, "controller": True}]
            yield {"metadata": {"uid": str(number), "labels": labels, "ownerReferences": owners}}


async def test_pods_of_strangers_do_not_make_a_look_endless() -> None:
    cluster = FakeCluster("stranger", 100_000)
    observed = await look(cluster, SERVICE, was_ready=False)  # type: ignore[arg-type]
    assert (cluster.read, observed.is_short) == (1000, False)


async def test_more_pods_than_are_read_are_not_taken_for_missing() -> None:
    observed = await look(FakeCluster("cluster", 5000), SERVICE, was_ready=False)  # type: ignore[arg-type]
    assert not observed.is_short


async def test_pods_that_are_missing_are() -> None:
    observed = await look(FakeCluster("cluster", 10), SERVICE, was_ready=False)  # type: ignore[arg-type]
    assert observed.is_short


async def test_a_pipeline_that_was_ready_asks_for_no_pod() -> None:
    cluster = FakeCluster("cluster", 10)
    await look(cluster, SERVICE, was_ready=True)  # type: ignore[arg-type]
    assert cluster.read == 0
