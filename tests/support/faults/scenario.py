"""Random scenarios: some pipelines of one namespace, what users do with them, and a fake of KubeRay beside them."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from llmpipeline import desired, names
from llmpipeline.desired import Desired
from llmpipeline.effect import effect_of
from support.control_plane import Admin, ApiError, Manifest
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL, RAY, SERVICES
from support.pipelines import pipeline as document_of

Step = Callable[[], None]
# What users do with one pipeline.
LIVES = ("new", "edited", "there and back", "edited twice", "deleted", "left alone")
# How the fake of KubeRay behaves with one.
BEHAVIOURS = ("slow", "failing", "flapping", "upgrading")
KINDS = ((RAY, SERVICES), *((api, plural) for api, kind, plural in names.COMPANIONS[:3]))


class Pipeline:
    """One pipeline: the specs that it has had, and what an undisturbed operator would have said of the last edit.

    Attributes:
        name: Its own.
        namespace: The scenario's.
        specs: One for each generation.
        alive: Whether it is there.
    """

    def __init__(self, admin: Admin, namespace: str, name: str) -> None:
        self.admin = admin
        self.namespace = namespace
        self.name = name
        self.specs: list[Manifest] = []
        self.alive = False
        # The generation up to which the operator had finished before the fault; 0: it knew nothing of it.
        self.settled = 0
        self.effects: set[str | None] = {None}
        # What is asked again and again while a test waits: what the objects should be, by UID and generation, which
        # of them were right, by their version, and the effects, by how many specs there were.
        self.manifests: dict[tuple[str, int], tuple[Manifest, ...]] = {}
        self.verified: dict[str, tuple[str, int]] = {}
        self._effects: dict[tuple[int, int, bool], set[str | None]] = {}
        # Somebody has deleted the RayService, so that an edit may have had nothing to change.
        self.lost = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def write(self, spec: Manifest) -> None:
        """Make it, or replace its spec."""
        document = self.document(spec)
        if not self.specs:
            self.admin.create(API, PLURAL, document)
            self.alive = True
        elif spec != self.specs[-1]:
            self._replace(document)
        else:
            return
        self.specs.append(spec)

    def delete(self) -> None:
        """Delete it. What it owns is for the garbage collector."""
        self.admin.delete(API, PLURAL, self.namespace, self.name)
        self.alive = False

    def document(self, spec: Manifest) -> Manifest:
        """As a user writes it."""
        whole = document_of(name=self.name, namespace=self.namespace)
        return {**whole, "spec": spec}

    def finished(self) -> None:
        """The operator has finished all there was so far."""
        self.effects = self.expected_effects()
        self.settled = len(self.specs)

    def expected_effects(self) -> set[str | None]:
        """The effect of the last edit. An operator that never saw one of several specs in between has another."""
        if self.settled == len(self.specs):
            return self.effects
        known = (self.settled, len(self.specs), self.lost)
        if known not in self._effects:
            self._effects[known] = self._effects_of_edits()
        return self._effects[known]

    def _effects_of_edits(self) -> set[str | None]:
        *before, last = [self._rendered(spec) for spec in self.specs[max(self.settled - 1, 0) :]]
        effects: set[str | None] = {effect_of(old, last).kind for old in before if old and last}
        return effects | (set() if self.settled else {None}) | (self.effects if self.lost else set())

    def has_open_edit(self) -> bool:
        """Whether the last edit must be told: it came after all that was finished, and there was what it changed."""
        return self.settled < len(self.specs) and not self.lost

    def open_edits(self) -> int:
        """How many generations the status does not know yet."""
        live = self.admin.find(API, PLURAL, self.namespace, self.name) or {"metadata": {"generation": 0}}
        return int(live["metadata"]["generation"]) - int((live.get("status") or {}).get("observedGeneration") or 0)

    def _rendered(self, spec: Manifest) -> Manifest | None:
        found = desired.compile(self.document(spec))
        return found.service if isinstance(found, Desired) else None

    def service(self) -> Manifest | None:
        """Its RayService."""
        return self.admin.find(RAY, SERVICES, self.namespace, self.name)

    def _replace(self, document: Manifest) -> None:
        while True:
            live = self.admin.get(API, PLURAL, self.namespace, self.name)
            live["spec"] = document["spec"]
            try:
                self.admin.replace(API, PLURAL, live)
            except ApiError as error:
                if error.status != 409:  # the operator has written the status meanwhile
                    raise
            else:
                return


class Scenario:
    """Three to five pipelines in a namespace of their own.

    Args:
        admin: The test's client.
        fault: Its name.
        seed: The same seed gives the same pipelines and the same order of what is done with each.
        spec: Makes a spec, from random numbers and how many there were before.
    """

    def __init__(self, admin: Admin, fault: str, seed: int, spec: Callable[[random.Random, int], Manifest]) -> None:
        self.admin = admin
        self.seed = seed
        self.random = random.Random(f"{fault} {seed}")
        self._spec = spec
        self._specs = 0
        words = re.sub(r"[^a-z0-9]+", "-", fault.lower()).strip("-")
        self.namespace = admin.create_namespace(f"{words[:40]}-{seed}-{random.randrange(10**6)}")
        count = self.random.randint(3, 5)
        self.pipelines = [Pipeline(admin, self.namespace, f"p{number}") for number in range(count)]
        self._lives = [self.random.choice(LIVES) for _ in self.pipelines]
        if not {"edited", "edited twice", "new"} & {*self._lives}:
            self._lives[0] = "edited"  # something must be left to do while the fault acts

    def new_spec(self) -> Manifest:
        """Another spec than all before."""
        self._specs += 1
        return self._spec(self.random, self._specs)

    def begin(self) -> None:
        """Make the pipelines that were there before the fault."""
        for pipeline, life in zip(self.pipelines, self._lives, strict=True):
            if life != "new":
                pipeline.write(self.new_spec())

    def steps(self) -> list[Step]:
        """All that is to be done, in a random order that keeps that of each pipeline."""
        ways = [list(self._way(it, life)) for it, life in zip(self.pipelines, self._lives, strict=True)]
        return mixed(self.random, ways)

    def _way(self, pipeline: Pipeline, life: str) -> Iterator[Step]:
        acts = list(behaviour(self.random.choice(BEHAVIOURS), pipeline))
        edits = list(self._edits(pipeline, life))
        yield from mixed(self.random, [acts, edits]) if life != "new" else [*edits, *acts]

    def _edits(self, pipeline: Pipeline, life: str) -> Iterator[Step]:
        if life in ("new", "edited"):
            yield self._write(pipeline, self.new_spec())
        elif life == "there and back":
            yield self._write(pipeline, self.new_spec())
            yield self._write(pipeline, pipeline.specs[0])
        elif life == "edited twice":
            yield self._write(pipeline, self.new_spec())
            yield self._write(pipeline, self.new_spec())
        elif life == "deleted":
            yield pipeline.delete

    @staticmethod
    def _write(pipeline: Pipeline, spec: Manifest) -> Step:
        return lambda: pipeline.write(spec)

    def clear(self) -> None:
        """Leave nothing behind: nothing here collects garbage."""
        for api, plural in ((API, PLURAL), *KINDS, (RAY, "rayclusters")):
            self.admin.delete_all(api, plural, self.namespace)


def any_spec(source: random.Random, number: int) -> Manifest:
    """A small spec, with or without companion objects."""
    image = f"registry.example/ray:{source.choice(('one', 'other'))}"
    app = {"name": "hello", "hello": {"message": f"message {number}", "replicas": source.choice((1, 2))}}
    spec: Manifest = {"ray": {"version": "2.60.0", "image": image}, "apps": [app]}
    if source.random() < 0.5:
        spec["network"] = {"policy": {"egress": source.choice(("Open", "Closed"))}}
    if source.random() < 0.4:
        spec["disruption"] = {"minAvailableWorkers": 1}
    return spec


def mixed(source: random.Random, ways: Sequence[Sequence[Step]]) -> list[Step]:
    """One order of all the steps, in which those of each way keep theirs."""
    order = [number for number, way in enumerate(ways) for _ in way]
    source.shuffle(order)
    left = [iter(way) for way in ways]
    return [next(left[number]) for number in order]


def behaviour(kind: str, pipeline: Pipeline) -> Iterator[Step]:
    """What the fake of KubeRay writes, step by step; where there is no RayService it writes nothing."""
    where = (pipeline.admin, pipeline.namespace, pipeline.name)

    def break_hello(admin: Admin, namespace: str, name: str) -> None:
        kuberay.break_app(admin, namespace, name, "hello")

    acts: dict[str, tuple[Callable[..., Any], ...]] = {
        "slow": (kuberay.make_initializing, kuberay.make_initializing, kuberay.make_ready),
        "failing": (kuberay.make_ready, break_hello),
        "flapping": (kuberay.make_ready, kuberay.lose_endpoints, kuberay.make_ready, break_hello, kuberay.make_ready),
        "upgrading": (kuberay.make_ready, kuberay.start_upgrade, kuberay.finish_upgrade),
    }
    for act in acts[kind]:
        yield _told(act, where)


def _told(act: Callable[..., Any], where: tuple[Admin, str, str]) -> Step:
    def step() -> None:
        with suppress(LookupError):  # the RayService is another than before, or has no status yet
            try:
                act(*where)
            except ApiError as error:
                if error.status != 404:
                    raise

    return step
