"""Workers that reconcile what the queue gives them, and the sweep that finds what no event announced."""

import asyncio
import logging
import random
from typing import Final

from llmpipeline import names
from llmpipeline.cluster import Cluster, Key, Manifest, Rejected
from llmpipeline.controller.freshness import Freshness
from llmpipeline.controller.health import Metrics
from llmpipeline.controller.work_queue import WorkQueue
from llmpipeline.names import Reason
from llmpipeline.reconcile import Outcome, reconcile

logger = logging.getLogger(__name__)

WORKERS: Final = 16
SWEEP_SECONDS: Final = 180.0


class Controller:
    """Turns events into reconciliations. What it remembers only saves work: losing it costs one reconciliation each."""

    def __init__(self, cluster: Cluster, namespaces: tuple[str, ...]) -> None:
        self._cluster = cluster
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._refused: frozenset[str | None] = frozenset()
        self._queue: WorkQueue[Key] = WorkQueue()
        self.metrics = Metrics(lambda: len(self._queue))
        self._pipelines: Freshness[Key] = Freshness()
        self._services: Freshness[Key] = Freshness()
        # Resource versions of RayServices: as our last write left it, and as heard of while a worker had the key.
        self._left: dict[Key, str] = {}
        self._heard: dict[Key, str] = {}

    def pipeline_changed(self, kind: str | None, document: Manifest) -> None:
        """An event of a pipeline. `kind` is None for those of a first listing."""
        key = _key(document["metadata"])
        gone = kind == "DELETED"
        self._pipelines.told(key, None if gone else document["metadata"]["resourceVersion"])
        if gone:
            self._left.pop(key, None)
            return
        seen = (document.get("status") or {}).get("observedGeneration")
        # What changed but the generation is the status, and that we wrote.
        if kind != "MODIFIED" or seen != document["metadata"]["generation"]:
            self._queue.add(key)

    def rayservice_changed(self, kind: str | None, document: Manifest) -> None:
        """An event of a RayService."""
        metadata = document["metadata"]
        name = (metadata.get("labels") or {}).get(names.LABEL_PIPELINE)
        if not name:
            return
        key, version = Key(metadata["namespace"], name), metadata["resourceVersion"]
        self._services.told(_key(metadata), None if kind == "DELETED" else version)
        if kind == "DELETED":
            self._left.pop(key, None)
            self._queue.add(key)
        elif self._queue.is_active(key):
            self._heard[key] = version
        elif self._left.get(key) != version:
            self._queue.add(key)

    async def run(self) -> None:
        """Works until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            tasks.create_task(self._sweep_for_ever())

    async def sweep(self) -> int:
        """Queues the pipelines that need it by a fresh list, whatever events said. Returns how many."""
        found = 0
        services: dict[Key, str] = {}
        pipelines: dict[Key, str] = {}
        refused: dict[str | None, Rejected] = {}
        for namespace in self._namespaces:
            try:
                found += await self._sweep_one(namespace, services, pipelines)
            except Rejected as rejected:
                # One of several namespaces, deleted and with it our role there, must not end the work on the others.
                if rejected.status != 403 or len(self._namespaces) == 1:
                    raise
                refused[namespace] = rejected
                logger.warning("sweep: namespace %s is left out: %s", namespace, rejected.message)
        if len(refused) == len(self._namespaces):
            raise next(iter(refused.values()))
        self._refused = frozenset(refused)
        self._pipelines.listed(pipelines, lambda key: key.namespace not in refused)
        self._services.listed(services, lambda key: key.namespace not in refused)
        return found

    async def _sweep_one(self, namespace: str | None, services: dict[Key, str], pipelines: dict[Key, str]) -> int:
        """Adds what one namespace (None: all) has to `services` and `pipelines`. Returns how many it queued."""
        found = 0
        try:
            services |= {_key(item["metadata"]): _version(item) async for item in self._cluster.rayservices(namespace)}
        except Rejected as rejected:
            if rejected.status != 404:  # without KubeRay there are none
                raise
        async for document in self._cluster.pipelines(namespace):
            key = _key(document["metadata"])
            pipelines[key] = _version(document)
            if _is_unsettled(document, has_service=key in services):
                self._queue.add(key)
                found += 1
        return found

    @property
    def readable(self) -> tuple[str, ...]:
        """Of the namespaces to watch those that the last sweep could read; none where all namespaces are watched."""
        return tuple(name for name in self._namespaces if name and name not in self._refused)

    @property
    def is_stale(self) -> bool:
        """Whether a watch delivers nothing any more, by what the sweeps found."""
        return self._pipelines.is_stale or self._services.is_stale

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                with self.metrics.seconds.time():
                    outcome = await reconcile(self._cluster, key)
            except Exception as error:
                self.metrics.reconciled.labels("failed").inc()
                delay = self._queue.failed(key)
                logger.warning("%s/%s: %s; again in %.0f s", *key, _sentence(error), delay, exc_info=_is_bug(error))
            else:
                self._note(key, outcome)
                self._queue.done(key)

    def _note(self, key: Key, outcome: Outcome) -> None:
        self.metrics.reconciled.labels(outcome.verdict.reason if outcome.verdict else "Gone").inc()
        heard = self._heard.pop(key, None)
        if outcome.resource_version:
            self._left[key] = outcome.resource_version
        if heard and heard != outcome.resource_version:
            self._queue.add(key)
        if outcome.retry_after:
            self._queue.add_later(key, outcome.retry_after)
        if outcome.verdict and outcome.verdict.status != "True":
            logger.info("%s/%s: %s: %s", *key, outcome.verdict.reason, outcome.verdict.message)

    async def _sweep_for_ever(self) -> None:
        while True:
            # Jitter, so that many operators started at once do not list at once.
            await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.9, 1.1))
            try:
                found = await self.sweep()
            except Exception as error:
                logger.warning("sweep: %s; again in %.0f s", _sentence(error), SWEEP_SECONDS, exc_info=_is_bug(error))
            else:
                if found:
                    logger.info("sweep: %d pipelines queued", found)


def _key(metadata: Manifest) -> Key:
    return Key(metadata["namespace"], metadata["name"])


def _version(document: Manifest) -> str:
    return str(document["metadata"]["resourceVersion"])


def _is_unsettled(document: Manifest, *, has_service: bool) -> bool:
    """Whether this pipeline needs a look: its spec is newer than its status, or its RayService is missing."""
    status = document.get("status") or {}
    if status.get("observedGeneration") != document["metadata"]["generation"]:
        return True
    applied: Manifest = next((item for item in status.get("conditions") or () if item["type"] == names.APPLIED), {})
    if applied.get("status") == "True":
        return not has_service
    return applied.get("reason") != Reason.NOT_ACCEPTED


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def _is_bug(error: Exception) -> bool:
    """Whether a traceback helps: not for what the network or the API server did."""
    return isinstance(error, (LookupError, TypeError, AttributeError, ValueError, AssertionError))
