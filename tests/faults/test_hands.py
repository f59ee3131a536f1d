"""What users do by hand, quickly, or in large."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from llmpipeline import names
from support.control_plane import Admin, ApiError, Manifest, eventually
from support.control_plane.quickstart import API, PLURAL, RAY, SERVICES
from support.faults.actions import Delay
from support.faults.fault import WRITES, Fault
from support.faults.ground import CONVERGE_SECONDS, Course, Ground, settle, survive
from support.faults.scenario import Pipeline, Scenario, Step, any_spec

NETWORKING, POLICIES = "networking.k8s.io/v1", "networkpolicies"
TEXTS = (
    "naïve Ünïcode, 日本語, العربية, हिन्दी", "\U0001f9d1\u200d\U0001f680 and \U0001f3f3\ufe0f\u200d\U0001f308",
    "\u202eright to left", "e\u0301\u0323 combining", "\ufeffbyte order mark", "\u2028 and \u2029 and \x85",
    "'\"\\ ${A} {{ a }} %s",
    "line\nline\r\n\ttab", "\u0000 zero \u0007 bell", "--- \n- yaml: [", "\U0010ffff \uffff \ue000",
)  # fmt: skip


def changed(admin: Admin, it: Pipeline, patch: Manifest) -> None:
    admin.merge_patch(RAY, SERVICES, it.namespace, it.name, patch)


def delete_policies(admin: Admin, it: Pipeline) -> None:
    for policy in admin.list(NETWORKING, POLICIES, it.namespace):
        if policy["metadata"]["name"].startswith(it.name):
            admin.delete(NETWORKING, POLICIES, it.namespace, policy["metadata"]["name"])


LABELS = {names.LABEL_PIPELINE: "another", names.LABEL_MANAGED_BY: None}
HANDS: tuple[Callable[[Admin, Pipeline], None], ...] = (
    lambda admin, it: admin.delete(RAY, SERVICES, it.namespace, it.name),
    lambda admin, it: changed(admin, it, {"spec": {"rayClusterConfig": {"rayVersion": "2.59.0"}}}),
    lambda admin, it: changed(admin, it, {"spec": {"suspend": True}}),
    lambda admin, it: changed(admin, it, {"metadata": {"labels": LABELS}}),
    lambda admin, it: changed(admin, it, {"metadata": {"labels": {names.LABEL_PIPELINE: None}}}),
    delete_policies,
)


@contextmanager
def by_hand(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """Two hands at each pipeline, one after the other or both at once."""
    yield ()
    settle(ground, scenarios, CONVERGE_SECONDS)
    for scenario in scenarios:
        for pipeline in [it for it in scenario.pipelines if it.alive]:
            for hand in scenario.random.sample(HANDS, 2):
                with suppress(ApiError):  # the one before has deleted it
                    hand(ground.admin, pipeline)


def test_by_hand(ground: Ground) -> None:
    survive(ground, Course("deleted, changed, relabelled, unlabelled by hand", by_hand))


@contextmanager
def there_and_back(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """Each write takes a while, and meanwhile the spec changes, and changes back."""
    yield ()
    settle(ground, scenarios, CONVERGE_SECONDS)
    with ground.proxy.during(Fault(Delay(0.2), WRITES)):
        for scenario in scenarios:
            for pipeline in [it for it in scenario.pipelines if it.alive]:
                before = pipeline.specs[-1]
                pipeline.write(scenario.new_spec())
                pipeline.write(before)


def test_there_and_back_in_mid_flight(ground: Ground) -> None:
    survive(ground, Course("A to B to A while the operator is at work", there_and_back))


def unicode_spec(source: random.Random, number: int) -> Manifest:
    spec = any_spec(source, number)
    text = "".join(source.sample(TEXTS, 3)) + f" {number}"
    spec["apps"][0]["hello"]["message"] = text
    spec["ray"]["env"] = [{"name": "TEXT", "value": text}]
    spec.setdefault("network", {})["ingress"] = {"annotations": {"example.com/text": text}}
    return spec


def test_unicode(ground: Ground) -> None:
    @contextmanager
    def nothing(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
        yield ()

    survive(ground, Course("odd characters in the spec", nothing, spec=unicode_spec))


def large(size: int) -> Manifest:
    app = {"name": "mine", "custom": {"importPath": "a:b", "args": {"text": "x" * size}}}
    return {"ray": any_spec(random.Random(0), 0)["ray"], "apps": [app]}


@contextmanager
def a_megabyte(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """It ends in a condition, true or not, disturbs no other, and is Applied once it is small."""
    big = [Pipeline(ground.admin, it.namespace, "big") for it in scenarios]
    for pipeline in big:
        pipeline.write(large(1024 * 1024))
    yield ()
    for pipeline in big:
        eventually(partial(said, pipeline), CONVERGE_SECONDS, f"a condition of {pipeline}")
        pipeline.write(any_spec(random.Random(0), 0))
    for scenario, pipeline in zip(scenarios, big, strict=True):
        scenario.pipelines.append(pipeline)


def said(pipeline: Pipeline) -> Any:
    """The condition Applied, of its generation."""
    live = pipeline.admin.get(API, PLURAL, pipeline.namespace, pipeline.name)
    conditions = live.get("status", {}).get("conditions", ())
    found = {it["type"]: it for it in conditions if it["observedGeneration"] == live["metadata"]["generation"]}
    return found.get("Applied")


def test_a_spec_of_a_megabyte(ground: Ground) -> None:
    survive(ground, Course("a spec of 1 MB beside the others", a_megabyte))
