"""Workers that reconcile what the queue gives them, and the watches that fill the queue."""

import asyncio
import logging
from typing import Final

from llmpipeline import names
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.follow import Change, Follower
from llmpipeline.cluster.kept_classes import KeptClasses
from llmpipeline.cluster.metadata import Metadata
from llmpipeline.cluster.ownership import pipeline_of
from llmpipeline.controller.events import EventRecorder
from llmpipeline.controller.metrics import Metrics
from llmpipeline.controller.reconcile import DEFECTS, Outcome, reconcile
from llmpipeline.controller.work_queue import LONGEST_DELAY, WorkQueue
from llmpipeline.names import POD_KIND, RAY_CLUSTER_KIND, RAY_SERVICE_KIND, Key, Object
from llmpipeline.render.platform import DEFAULT, Platform

logger = logging.getLogger(__name__)

WORKERS: Final = 16
# What is made for pipelines, the RayService first.
MADE: Final = (RAY_SERVICE_KIND, *(kind for _, kind, _ in names.COMPANIONS))
_LEVELS: Final = {"Normal": logging.INFO, "Warning": logging.WARNING}
# News of Pods come in bursts: so long they are collected.
_NEWS_SECONDS: Final = 2.0
# If the network or the API server failed, and not this one pipeline, it is tried again this soon.
_LONGEST_OUTAGE_DELAY: Final = 15.0
# So long the list of RayServices is awaited, which says what of the pipelines is new.
_SERVICES_SECONDS: Final = 10.0
# A worker that has had one pipeline for so long will not be done with it: every request in it has a deadline.
STUCK_SECONDS: Final = 600.0


class Controller:
    """Turns changes into reconciliations. What it remembers only saves work: losing it costs a reconciliation each."""

    def __init__(self, cluster: Cluster, namespaces: tuple[str, ...], platform: Platform = DEFAULT) -> None:
        self._cluster = cluster
        self._platform = platform
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._queue = WorkQueue(WORKERS)
        self._pipelines = [Follower(cluster, names.KIND, where, self.pipeline_changed) for where in self._namespaces]
        self._made = [self._follower(kind, where) for kind in MADE for where in self._namespaces]
        self._clusters = [self._follower_of_ray(RAY_CLUSTER_KIND, where) for where in self._namespaces]
        self._pods = [self._follower_of_ray(POD_KIND, where) for where in self._namespaces]
        self._classes = Follower(cluster, names.CLASS_KIND, None, self.class_changed)
        self._kept_classes = KeptClasses(cluster)
        # Pipelines that a change of their class has not reached yet.
        self._waiting: set[Key] = set()
        # Pipelines of which something is awaited or fails: news of their Ray clusters and Pods matter.
        self._open: set[Key] = set()
        self._events = EventRecorder(cluster)
        self.metrics = Metrics(
            self._queue,
            lambda: sum(it.repairs for it in (*self._pipelines, *self._made)),
            lambda: max(it.silent_seconds for it in self._pipelines),
        )
        # Versions of the objects of a pipeline: as our last write left them, and as heard of while a worker had it.
        self._left: dict[Key, dict[Object, str]] = {}
        self._heard: dict[Key, dict[Object, str]] = {}

    def _follower(self, kind: str, namespace: str | None) -> Follower:
        label, appeared = names.LABEL_PIPELINE, self._queue.ring_all
        return Follower(self._cluster, kind, namespace, self.object_changed, label=label, appeared=appeared)

    def _follower_of_ray(self, kind: str, namespace: str | None) -> Follower:
        return Follower(self._cluster, kind, namespace, self.ray_changed, label=names.LABEL_PIPELINE)

    async def check(self) -> None:
        """Fails early and clearly where the CRD or the rights are missing; one of several namespaces may be missing."""
        failures: list[Exception] = []
        for namespace in self._namespaces:
            try:
                await self._cluster.check(namespace)
            except Exception as error:
                failures.append(error)
        if len(failures) == len(self._namespaces):
            raise failures[0]

    @property
    def is_stuck(self) -> bool:
        """Whether a worker will not come back from what it does. Nothing that others write makes it so."""
        return self._queue.longest_work_seconds > STUCK_SECONDS

    def pipeline_changed(self, change: Change) -> None:
        """A pipeline is new, has another spec or labels, or is gone. What else changes is its status: we write that."""
        key, before, after = change.key, change.before, change.after
        if after is None:
            self._left.pop(key, None)
            self._open.discard(key)
            self._waiting.discard(key)
            self._wake_next()  # it may be the one that others wait for
            self._events.forget(key)
            self._queue.forget(key)
            self.metrics.forget(key)
        elif before is None or _asked(before) != _asked(after):
            self._queue.add(key, urgent=not (change.listed and before is None and self._has_service(key)))

    def class_changed(self, _change: Change) -> None:
        """A class is new, changed or gone: which pipelines that matters to, each finds out for itself."""
        self._kept_classes.forget()
        if self._classes.listed.is_set():  # at a start every pipeline is looked at anyway
            for key in (key for follower in self._pipelines for key in follower.known):
                self._queue.add(key, urgent=False)

    def _wake_next(self) -> None:
        """The next pipeline looks whether its turn has come."""
        if self._waiting:
            self._queue.add(min(self._waiting), urgent=False)

    def _has_service(self, key: Key) -> bool:
        """Whether a pipeline has been worked on before: at a start those that have not go first."""
        return any(key in it.known for it in self._made if it.kind == RAY_SERVICE_KIND)

    def object_changed(self, change: Change) -> None:
        """An object that is made for pipelines changed: by somebody else, or it is an echo of our own write."""
        owners = {owner for owner in map(_owner_of, (change.before, change.after)) if owner}
        here, version = Object(change.kind, change.key), change.after.version if change.after else ""
        for owner in owners:
            key = Key(change.key.namespace, owner)
            if self._queue.is_active(key):
                self._heard.setdefault(key, {})[here] = version
            # Of a pipeline that was not worked on yet, the list of pipelines tells: it is queued by that.
            elif (key in self._left or not change.listed) and self._left.get(key, {}).get(here, "") != version:
                self._queue.add(key)

    def ray_changed(self, change: Change) -> None:
        """A RayCluster or a Pod changed, which KubeRay made. While it comes up that is often: not each is looked at."""
        service = self._service_of(change.after or change.before)
        key = Key(change.key.namespace, service)
        if key in self._open:
            self._queue.look_again(key, _NEWS_SECONDS)

    def _service_of(self, metadata: Metadata | None) -> str:
        """The RayService that a RayCluster belongs to, or a Pod by its RayCluster; empty if none is known."""
        owner = metadata.controller if metadata else None
        if metadata and owner and owner.kind == RAY_CLUSTER_KIND:
            key = Key(metadata.key.namespace, owner.name)
            clusters = (it.known[key] for it in self._clusters if key in it.known)
            owner = next((cluster.controller for cluster in clusters if cluster.uid == owner.uid), None)
        return owner.name if owner and owner.kind == RAY_SERVICE_KIND else ""

    async def run(self) -> None:
        """Works until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.metrics.measure_lag())
            tasks.create_task(self._events.run())
            for follower in (self._classes, *self._made, *self._clusters, *self._pods):
                tasks.create_task(follower.run())
            await self._services_listed()
            for follower in self._pipelines:
                tasks.create_task(follower.run())
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def _services_listed(self) -> None:
        waits = [it.listed.wait() for it in self._made if it.kind == RAY_SERVICE_KIND]
        try:
            async with asyncio.timeout(_SERVICES_SECONDS):
                await asyncio.gather(*waits)
        except TimeoutError:
            logger.warning("RayServices could not be listed in %.0f s", _SERVICES_SECONDS)

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                with self.metrics.seconds.time():
                    outcome = await reconcile(
                        self._cluster, key, self._platform, namespaces=self._namespaces, classes=self._kept_classes
                    )
            except Exception as error:
                self._heard.pop(key, None)
                self.metrics.reconciled.labels("failed").inc()
                is_defect = isinstance(error, DEFECTS)  # only then does a traceback help
                delay = self._queue.failed(key, LONGEST_DELAY if is_defect else _LONGEST_OUTAGE_DELAY)
                logger.warning("%s/%s: %s; again in %.0f s", *key, _sentence(error), delay, exc_info=is_defect)
            else:
                self._queue.done(key, outcome.retry_after)
                self._note(key, outcome)

    def _note(self, key: Key, outcome: Outcome) -> None:
        heard = self._heard.pop(key, {})
        if not any(key in follower.known for follower in self._pipelines):
            self.metrics.note(key, None, None)  # deleted while it was worked on
            return
        self.metrics.note(key, outcome.verdict, outcome.status)
        (self._open.add if outcome.is_open else self._open.discard)(key)
        waited = key in self._waiting
        (self._waiting.add if outcome.rollout == "waits" else self._waiting.discard)(key)
        if outcome.rollout == "ended" or (waited and not outcome.rollout):
            self._wake_next()
        if outcome.versions:
            self._left[key] = dict(outcome.versions)
        if any(outcome.versions.get(changed, "") != version for changed, version in heard.items()):
            self._queue.add(key)
        self._events.note(key, outcome.uid, outcome.news)
        for news in outcome.news:
            logger.log(_LEVELS[news.type], "%s/%s: %s: %s", *key, news.reason, news.message)


def _asked(metadata: Metadata) -> tuple[str, int, int]:
    """What of a pipeline's metadata changes with what it asks for."""
    return metadata.uid, metadata.generation, metadata.texts


def _owner_of(metadata: Metadata | None) -> str | None:
    return pipeline_of(metadata) if metadata else None


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
