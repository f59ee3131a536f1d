"""The fault corpus: each file of tests/e2e/faults is a pipeline, what breaks it, and the true cause.

title            what is wrong, for people
object           what is at fault
cause            a pattern that the message of the condition Ready must have
reasons          the reasons that Ready may have then
spec             merged into a small pipeline that works (a JSON merge patch of its spec); IMAGE is the image of Ray
before           manifests that are applied before it, in its namespace
code             a module `fault_code`, which Ray Pods can import
then             merged into the spec once the pipeline is Ready: the fault is the change
namespaceLabels  of its namespace
    said             how a component of the cluster says it, if that is another pattern than `cause`
seconds          how long a component of the cluster may take to say it (default 90)
control_plane    the operator and an API server suffice to find it; else a cluster with KubeRay is needed
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from support.e2e.kubectl import Manifest
from support.repository import ROOT

FAULTS: Final = ROOT / "tests" / "e2e" / "faults"
NAME: Final = "fault"
_CODE_FOLDER: Final = "/fault-code"


@dataclass(frozen=True)
class Fault:
    """One file; see above."""

    name: str
    title: str
    object: str
    cause: re.Pattern[str]
    reasons: tuple[str, ...]
    spec: Manifest
    before: tuple[Manifest, ...] = ()
    code: str = ""
    then: Manifest = field(default_factory=dict)
    namespace_labels: Manifest = field(default_factory=dict)
    said: re.Pattern[str] | None = None
    seconds: float = 90.0
    control_plane: bool = False

    def pipeline(self, namespace: str, image: str, *, changed: bool = False) -> Manifest:
        """The pipeline; with `changed` as it is after the change that is the fault."""
        spec = merged(_base(image, self.code), self.spec)
        if changed:
            spec = merged(spec, self.then)
        document = {
            "apiVersion": "serving.llmpipeline.dev/v1alpha1",
            "kind": "LLMPipeline",
            "metadata": {"name": NAME, "namespace": namespace},
            "spec": spec,
        }
        replaced: Manifest = yaml.safe_load(yaml.safe_dump(document).replace("IMAGE", image))
        return replaced

    def surroundings(self, namespace: str) -> list[Manifest]:
        """What is there before the pipeline is."""
        manifests = list(self.before)
        if self.code:
            data = {"fault_code.py": self.code}
            manifests.append(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fault-code"}, "data": data}
            )
        return [{**it, "metadata": {**it["metadata"], "namespace": namespace}} for it in manifests]

    def is_named_by(self, reason: str, message: str) -> bool:
        """Whether a condition names the cause."""
        return reason in self.reasons and bool(self.cause.search(message))


def corpus() -> list[Fault]:
    """Every fault, by name."""
    return [_read(path) for path in sorted(FAULTS.glob("*.yaml"))]


def _read(path: Path) -> Fault:
    content = yaml.safe_load(path.read_text())
    said = content.pop("said", None)
    return Fault(
        name=path.stem,
        title=content.pop("title"),
        object=content.pop("object"),
        cause=re.compile(content.pop("cause"), re.DOTALL),
        said=re.compile(said, re.DOTALL) if said else None,
        reasons=tuple(content.pop("reasons")),
        before=tuple(content.pop("before", ())),
        namespace_labels=content.pop("namespaceLabels", {}),
        **content,
    )


def merged(document: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    base = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            base.pop(name, None)
        else:
            base[name] = merged(base.get(name), value)
    return base


def _base(image: str, code: str) -> Manifest:
    """A pipeline that works: small Pods, as several fit on two cores."""
    ray: Manifest = {"version": "2.60.0", "image": image}
    head: Manifest = {"resources": {"cpus": "200m", "memory": "2Gi"}}
    worker: Manifest = {
        "name": "cpu", "resources": {"cpus": "500m", "memory": "2Gi"}, "minReplicas": 1, "maxReplicas": 1,
    }  # fmt: skip
    if code:
        ray["env"] = [{"name": "PYTHONPATH", "value": _CODE_FOLDER}]
        head["podTemplate"], worker["podTemplate"] = _with_code("ray-head"), _with_code("ray-worker")
    apps = [{"name": "hello", "hello": {}}]
    return {"ray": ray, "head": head, "workers": [worker], "apps": apps}


def _with_code(container: str) -> Manifest:
    mounts = [{"name": "code", "mountPath": _CODE_FOLDER}]
    volumes = [{"name": "code", "configMap": {"name": "fault-code"}}]
    return {"spec": {"containers": [{"name": container, "volumeMounts": mounts}], "volumes": volumes}}
