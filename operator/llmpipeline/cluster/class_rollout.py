"""A change of a class that rolls Ray clusters over reaches one pipeline after the other.

Nothing is remembered. The class that a pipeline runs with stands on its RayService (`classes.record`), and so does a
mark while a change is being brought to it. The mark goes when the pipeline is Ready again: until then others wait.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from llmpipeline import names
from llmpipeline.api.status import Status
from llmpipeline.classes.choose import Used
from llmpipeline.classes.record import Record
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.ownership import annotation, belongs_to
from llmpipeline.conditions import Accepted, Applied, Ready, Verdict
from llmpipeline.desired import Desired, Rejected
from llmpipeline.effect import effect_of
from llmpipeline.kuberay.service import observe
from llmpipeline.names import RAY_SERVICE_KIND, Key, Manifest
from llmpipeline.problems import Problem

# What a mark says of the pipeline before the change came: one that was not Ready need not become it.
WAS_READY, WAS_NOT_READY = "was-ready", "was-not-ready"
_AT: Final = ("spec", "className")


@dataclass(frozen=True, slots=True)
class Blocker:
    """A pipeline that others wait for.

    Attributes:
        key: Which.
        reason: Why it is not Ready, in a word.
    """

    key: Key
    reason: str


def is_same(record: Record, used: Used) -> bool:
    """Whether a pipeline runs with its class as it is now."""
    return (record.name, record.content) == (used.name, used.content) and (
        not used.name or record.by_default == used.by_default
    )


def is_of_administrators(record: Record, used: Used) -> bool:
    """Whether the class changed, and not which class the pipeline names."""
    return record.by_default == used.by_default and (used.by_default or record.name == used.name)


def rolls_over(before: Desired | Rejected, after: Desired, live: Manifest) -> bool:
    """Whether the change of a class needs a new Ray cluster, or ends requests.

    Args:
        before: What the spec of now asks for with the class as it was.
        after: The same with the class as it is.
        live: The RayService, if `before` cannot work.
    """
    return _rolls(before.service if isinstance(before, Desired) else live, after.service)


def _rolls(old: Manifest, new: Manifest) -> bool:
    effect = effect_of(old, new)
    return effect.kind == "NewCluster" or effect.interrupts


def is_in_doubt(before: Desired, live: Manifest) -> bool:
    """Whether a pipeline does not run with the class as it was, though its spec has not changed.

    Somebody has changed what stands on the RayService: better nothing is applied than a roll-over by mistake.
    """
    is_unchanged = annotation(live, names.ANNOTATION_GENERATION) == str(before.metadata.generation)
    return is_unchanged and _rolls(live, before.service)


def without_its_class(record: Record, wanted: Desired, unread: str) -> Rejected | None:
    """Why a pipeline is not given the built-in defaults, though no class is the default one: it had another."""
    if not (record.name and record.by_default and wanted.used.by_default and not wanted.used.name):
        return None
    reason, message = Accepted.CLASS_NOT_FOUND, f"the default class {record.name} that this pipeline runs with is gone"
    if unread:
        reason, message = Accepted.CLASSES_UNREADABLE, f"the operator can no longer read classes: {unread}"
    remedy = "ask an administrator to mark a class as default, or set className"
    return Rejected(wanted.metadata, (Problem(_AT, message, remedy, reason),))


def mark_of(live: Manifest) -> str:
    """The class of which a change is being brought to a pipeline; empty if none is."""
    return str((live["metadata"].get("labels") or {}).get(names.LABEL_ROLLOUT, ""))


def new_mark(live: Manifest, status: Status) -> str:
    """What a mark says if a change begins now."""
    return annotation(live, names.LABEL_ROLLOUT) or (WAS_READY if status.is_ready else WAS_NOT_READY)


def kept_mark(live: Manifest, wanted: Desired, status: Status) -> str:
    """What the mark of a pipeline says that others still have to wait for; empty if they need not."""
    if mark_of(live) != wanted.used.name or not wanted.used.name:
        return ""
    return "" if _is_done(live, wanted.pipeline.spec.suspend, status) else annotation(live, names.LABEL_ROLLOUT)


def _is_done(live: Manifest, is_suspended: bool, status: Status) -> bool:
    observed = observe(live)
    serves = observed.seen and observed.ready and not observed.upgrading
    is_ready = status.is_ready or annotation(live, names.LABEL_ROLLOUT) == WAS_NOT_READY
    return is_suspended or (serves and is_ready)


async def blocker(cluster: Cluster, name: str, own: Key, namespaces: Sequence[str | None]) -> Blocker | None:
    """The pipeline that a change of the class came to before, and that is not Ready again; None: it is our turn."""
    async for key in _marked(cluster, name, namespaces):
        if key == own:
            continue
        service, document = await cluster.rayservice(key), await cluster.pipeline(key)
        if service is None or not isinstance(document, dict) or not belongs_to(service, document["metadata"]["uid"]):
            continue
        status = Status.of(document)
        if not _is_done(service, (document.get("spec") or {}).get("suspend") is True, status):
            ready = status.condition(Ready.TYPE)
            is_stale = ready is None or ready.status == "True"  # of before the change
            return Blocker(key, "WaitingForKubeRay" if is_stale or ready is None else ready.reason)
    return None


async def _marked(cluster: Cluster, name: str, namespaces: Sequence[str | None]) -> AsyncIterator[Key]:
    for namespace in namespaces:
        pages = cluster.metadata_pages(RAY_SERVICE_KIND, namespace, f"{names.LABEL_ROLLOUT}={name}")
        async for page in pages:
            for item in page.items:
                yield item.key


def waiting(name: str, blocked_by: Blocker) -> Verdict:
    """The condition of a pipeline whose turn has not come."""
    message = (
        f"The RayService is applied with class {name} as it was before its last change, which needs a new Ray cluster. "
        f"The change is brought to one pipeline after the other, and waits for {'/'.join(blocked_by.key)}, which has "
        f"it and is not Ready: {blocked_by.reason}."
    )
    return Verdict(Applied.CLASS_ROLLOUT_WAITING, message)
