"""What must have come of a scenario when the fault is over: the same as of an undisturbed run."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from llmpipeline import names
from support.control_plane import Admin, ApiError, Manifest
from support.control_plane.quickstart import API, PLURAL, RAY, SERVICES
from support.faults.scenario import KINDS, Pipeline, Scenario
from support.pipelines import desired_of

_PLURALS = {
    names.RAY_SERVICE_KIND: (RAY, SERVICES),
    **{kind: (api, plural) for api, kind, plural in names.COMPANIONS if (api, plural) in KINDS},
}
_PARTS = ("spec", "labels", "ownerReferences")


@dataclass(frozen=True)
class Snapshot:
    """All that is in the namespace of a scenario: the pipelines by name, the other objects by kind and name."""

    admin: Admin
    pipelines: dict[str, Manifest] = field(default_factory=dict)
    objects: dict[tuple[str, str], Manifest] = field(default_factory=dict)

    @classmethod
    def of(cls, scenario: Scenario) -> "Snapshot":
        """As it is now; what belongs to a pipeline that is gone is deleted first."""
        admin, namespace = scenario.admin, scenario.namespace
        found = cls(admin)
        for it in admin.list(API, PLURAL, namespace):
            found.pipelines[it["metadata"]["name"]] = it
        for kind, place in _PLURALS.items():
            for it in admin.list(*place, namespace):
                if not found.is_garbage(kind, it):
                    found.objects[kind, it["metadata"]["name"]] = it
        return found

    def is_garbage(self, kind: str, it: Manifest) -> bool:
        """A fake of the garbage collector, which the control plane has not: deletes what has an owner that is gone."""
        owners = {owner["uid"] for owner in it["metadata"].get("ownerReferences", ())}
        if not owners or owners & {pipeline["metadata"]["uid"] for pipeline in self.pipelines.values()}:
            return False
        try:
            self.admin.delete(*_PLURALS[kind], it["metadata"]["namespace"], it["metadata"]["name"])
        except ApiError as error:
            if error.status != 404:
                raise
        return True


def is_over(scenario: Scenario, *, thorough: bool = True) -> str:
    """What is wrong with any of its pipelines; empty if nothing is. Not thorough: the first thing."""
    snapshot = Snapshot.of(scenario)
    every = (f"{it}: {found}" for it in scenario.pipelines if (found := wrong(it, snapshot, thorough=thorough)))
    return "\n  ".join(every) if thorough else next(every, "")


def wrong(pipeline: Pipeline, snapshot: Snapshot, *, thorough: bool = True) -> str:
    """What is not as after an undisturbed run; empty if all is. Not thorough: the first thing."""
    live = snapshot.pipelines.get(pipeline.name)
    if live is None:
        return _left_behind(pipeline, snapshot)
    every = chain(_wrong_status(pipeline, live, snapshot), _wrong_objects(pipeline, live, snapshot))
    return "; ".join(every) if thorough else next(every, "")


def _left_behind(pipeline: Pipeline, snapshot: Snapshot) -> str:
    if pipeline.alive:
        return "the pipeline is not there"
    left = [" ".join(which) for which in snapshot.objects if _is_named_for(pipeline, which[1])]
    return f"it was deleted, and there is {', '.join(left)}" if left else ""


def _is_named_for(pipeline: Pipeline, name: str) -> bool:
    return name in (pipeline.name, names.head_policy(pipeline.name))


def _wrong_status(pipeline: Pipeline, live: Manifest, snapshot: Snapshot) -> Iterator[str]:
    status = live.get("status") or {}
    generation = live["metadata"]["generation"]
    if status.get("observedGeneration") != generation:
        yield f"observedGeneration {status.get('observedGeneration')}, generation {generation}"
        return
    conditions = {it["type"]: it for it in status.get("conditions", ())}
    for kind in ("Accepted", "Applied"):
        found = conditions.get(kind, {})
        if (found.get("status"), found.get("observedGeneration")) != ("True", generation):
            yield f"{kind} is {found}"
    yield from _wrong_edit(pipeline, status, generation)
    yield from _wrong_readiness(conditions, snapshot.objects.get((names.RAY_SERVICE_KIND, pipeline.name)))


def _wrong_edit(pipeline: Pipeline, status: Manifest, generation: int) -> Iterator[str]:
    said, expected = status.get("lastEdit") or {}, pipeline.expected_effects()
    if said.get("effect") not in expected:
        yield f"lastEdit is {said}, and the last edit was {sorted(map(str, expected))}"
    elif said and pipeline.has_open_edit() and said["observedGeneration"] != generation:
        yield f"lastEdit is of generation {said['observedGeneration']}, generation {generation}"


def _wrong_readiness(conditions: dict[str, Manifest], service: Manifest | None) -> Iterator[str]:
    """Only where the fake of KubeRay leaves no doubt: it serves and every app runs, or one has failed."""
    status: Manifest = (service or {}).get("status") or {}
    endpoints = bool(status.get("numServeEndpoints"))
    upgrading = bool(status.get("pendingServiceStatus", {}).get("rayClusterName"))
    apps = status.get("activeServiceStatus", {}).get("applicationStatuses", {}).values()
    if not (endpoints and apps) or upgrading:
        return
    expected = "True" if all(it["status"] == "RUNNING" for it in apps) else "False"
    found = conditions.get("Available", {}).get("status")
    if found != expected:
        yield f"Available is {found}; KubeRay's status says {expected}"


def _wrong_objects(pipeline: Pipeline, live: Manifest, snapshot: Snapshot) -> Iterator[str]:
    """There is each object that is wanted and no other, and applying one once more would change nothing."""
    uid = live["metadata"]["uid"]
    version = (uid, live["metadata"]["generation"])
    if version not in pipeline.manifests:
        pipeline.manifests[version] = desired_of(live).manifests
    wanted = {(it["kind"], it["metadata"]["name"]): it for it in pipeline.manifests[version]}
    there = {
        which for which, it in snapshot.objects.items() if _belongs_to(it, uid) or _is_named_for(pipeline, which[1])
    }
    if there != wanted.keys():
        yield f"there is {sorted(there)}, and there should be {sorted(wanted)}"
        return
    for which, manifest in wanted.items():
        object_version = snapshot.objects[which]["metadata"]["resourceVersion"]
        if pipeline.verified.get(object_version) == version:
            continue
        if difference := _difference(pipeline, manifest, snapshot.objects[which]):
            yield difference
        else:
            pipeline.verified[object_version] = version


def _belongs_to(found: Manifest, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in found["metadata"].get("ownerReferences", ()))


def _difference(pipeline: Pipeline, manifest: Manifest, live: Manifest) -> str:
    """What applying the manifest once more would change: the API server says so, in a dry run."""
    again = pipeline.admin.apply(
        *_PLURALS[manifest["kind"]], manifest, field_manager=names.FIELD_MANAGER, force=True, dry_run=True
    )
    parts = " and ".join(part for part in _PARTS if _part(live, part) != _part(again, part))
    return (
        f"{manifest['kind']} {manifest['metadata']['name']} differs in {parts} from what is rendered" if parts else ""
    )


def _part(manifest: Manifest, part: str) -> Any:
    return manifest["spec"] if part == "spec" else manifest["metadata"].get(part)
