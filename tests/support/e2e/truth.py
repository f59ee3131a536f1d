"""Grades a fault on a cluster with KubeRay: how soon a pipeline's status names its cause, and what KubeRay says."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from support.e2e.corpus import NAME, Fault
from support.e2e.kubectl import CommandError, Kube, Manifest

# Within so many seconds after a component of the cluster has said it, the status must name the cause.
SOON = 30.0
_START_SECONDS = 300.0
_INTERVAL = 1.5
_KINDS = "llmpipelines.serving.llmpipeline.dev,rayservices,rayclusters,pods,events"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Grade:
    """How one fault went.

    Attributes:
        fault: Which.
        named: Seconds from the fault until Ready named its cause; None if it did not.
        said: Seconds until a component of the cluster had said it; None if none was seen to.
        kuberay: Whether a condition of the RayService named it at the end.
        success: Ready was true at the end.
        instead: What Ready said at the end.
    """

    fault: Fault
    named: float | None = None
    said: float | None = None
    kuberay: bool = False
    success: bool = False
    instead: str = ""

    @property
    def is_good(self) -> bool:
        """Named in time, and no success reported."""
        return self.named is not None and not self.success and self.delay <= SOON

    @property
    def delay(self) -> float:
        """Seconds from when a component had said it."""
        return max(0.0, (self.named or 0.0) - (self.said if self.said is not None else self.named or 0.0))

    def __str__(self) -> str:
        kuberay = "KubeRay: yes" if self.kuberay else "KubeRay: no "
        if self.named is None:
            return f"{self.fault.name:26} NOT NAMED            {kuberay}  {self.instead[:200]}"
        verdict = "SAYS SUCCESS" if self.success else f"{self.delay:4.0f} s after"
        return f"{self.fault.name:26} {self.named:4.0f} s ({verdict})  {kuberay}"


def grade(kube: Kube, fault: Fault, image: str) -> Grade:
    """Makes the fault in a namespace of its own, and looks until its cause is named or the time is over."""
    namespace = f"truth-{fault.name}"
    labels = {"truth": "fault", **fault.namespace_labels}
    try:
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
        kube.apply(*fault.surroundings(namespace), fault.pipeline(namespace, image))
        if fault.then:
            kube.wait_for(NAME, namespace, "Ready", "True", seconds=_START_SECONDS)
            kube.apply(fault.pipeline(namespace, image, changed=True))
        return _watched(kube, fault, namespace)
    finally:
        kube.delete("llmpipelines.serving.llmpipeline.dev", NAME, namespace, "--wait=false")
        kube.delete("namespace", namespace, "", "--wait=false")


def _watched(kube: Kube, fault: Fault, namespace: str) -> Grade:
    result, began = Grade(fault), time.monotonic()
    while True:
        passed = time.monotonic() - began
        objects = _objects(kube, namespace)
        if result.said is None and _is_said(fault, objects):
            result.said = passed
        ready = _ready(objects)
        result.success = ready.get("status") == "True"
        result.instead = f"{ready.get('reason')}: {ready.get('message')}"
        result.kuberay = result.kuberay or _kuberay_names(fault, objects)
        if result.named is None and fault.is_named_by(ready.get("reason", ""), ready.get("message", "")):
            result.named = passed
        limit = fault.seconds if result.said is None else result.said + 2 * SOON
        if result.named is not None or passed > limit:
            return result
        time.sleep(_INTERVAL)


def _objects(kube: Kube, namespace: str) -> Sequence[Manifest]:
    try:
        items: Sequence[Manifest] = json.loads(kube.kubectl("get", _KINDS, "-n", namespace, "-o", "json"))["items"]
    except CommandError:  # the API server of a busy machine
        return ()
    return items


def _ready(objects: Sequence[Manifest]) -> Manifest:
    for item in objects:
        if item["kind"] == "LLMPipeline":
            generation = item["metadata"]["generation"]
            conditions = item.get("status", {}).get("conditions", ())
            return next(
                (it for it in conditions if (it["type"], it["observedGeneration"]) == ("Ready", generation)), {}
            )
    return {}


def _is_said(fault: Fault, objects: Sequence[Manifest]) -> bool:
    """Whether a component other than the operator has said it, in any of its words."""
    theirs = [_texts(it) for it in objects if it["kind"] != "LLMPipeline" and not _is_ours(it)]
    return bool((fault.said or fault.cause).search("\n".join(theirs)))


def _is_ours(item: Manifest) -> bool:
    return item["kind"] == "Event" and bool(item.get("involvedObject", {}).get("kind") == "LLMPipeline")


def _texts(item: Manifest) -> str:
    said = item.get("status", {}) if item["kind"] != "Event" else {k: item.get(k) for k in ("reason", "message")}
    return _ANSI.sub("", json.dumps(said, ensure_ascii=False).replace('\\"', '"').replace("\\n", "\n"))


def _kuberay_names(fault: Fault, objects: Sequence[Manifest]) -> bool:
    """By the conditions of the RayService, which is what a user of KubeRay alone has written and waits for."""
    for item in objects:
        if item["kind"] == "RayService":
            conditions = item.get("status", {}).get("conditions", ())
            text = " ".join(f"{it.get('reason')}: {it.get('message')}" for it in conditions)
            return bool((fault.said or fault.cause).search(text))
    return False
