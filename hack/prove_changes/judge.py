"""What was seen, in the words of the effect table, and whether it is what was predicted. Pure, from records alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from llmpipeline.effect import Effect

# Nothing runs before or after these.
_DOWN: Final = frozenset({"Suspend", "Resume", "Create"})


@dataclass(frozen=True)
class ClusterSeen:
    """A RayCluster.

    Attributes:
        uid: Which it is.
        groups: The names of its worker groups.
        patched: What the operator may write into a live one: bounds and tolerations, as text.
    """

    uid: str
    groups: tuple[str, ...] = ()
    patched: str = ""


@dataclass(frozen=True)
class PodSeen:
    """A Ray Pod, by its UID elsewhere."""

    name: str
    restarts: int = 0


@dataclass(frozen=True)
class Record:
    """What there is of a pipeline at one moment.

    Attributes:
        clusters: Its RayClusters.
        pods: Its Ray Pods by UID.
        replicas: The ids of the replicas by "app/deployment".
        service: The parts of the RayService's spec as digests: cluster, serve, and others.
        companions: Digests of the objects beside the RayService, by kind and name.
    """

    clusters: tuple[ClusterSeen, ...] = ()
    pods: Mapping[str, PodSeen] = field(default_factory=dict)
    replicas: Mapping[str, frozenset[str]] = field(default_factory=dict)
    service: Mapping[str, str] = field(default_factory=dict)
    companions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """What the Ray Pods request together."""

    gpus: int = 0
    cpu_milli: int = 0


@dataclass(frozen=True)
class Seen:
    """What a change did."""

    kind: str
    restarted: tuple[str, ...]
    pods_gone: int
    container_restarts: int


def seen(before: Record, after: Record, *, rejected: bool) -> Seen:
    """What happened between two records."""
    kept = before.pods.keys() & after.pods.keys()
    return Seen(
        kind_of(before, after, rejected=rejected),
        restarted(before, after),
        len(before.pods.keys() - after.pods.keys()),
        sum(max(0, after.pods[uid].restarts - before.pods[uid].restarts) for uid in kept),
    )


def kind_of(before: Record, after: Record, *, rejected: bool) -> str:
    """The effect in one word. Of several the one that weighs most, as in `effect`."""
    if rejected:
        return "Rejected"
    uids = [{cluster.uid for cluster in record.clusters} for record in (before, after)]
    if not uids[0] or not uids[1]:
        return "Nothing" if uids[0] == uids[1] else "Suspend" if uids[0] else "Resume"
    if uids[0] != uids[1]:
        return "NewCluster"
    old, new = ({cluster.uid: cluster for cluster in record.clusters} for record in (before, after))
    if any(set(new[uid].groups) > set(old[uid].groups) for uid in old):
        return "AddWorkers"
    if any(new[uid].patched != old[uid].patched for uid in old):
        return "LivePatch"
    return _beside_the_cluster(before, after)


def _beside_the_cluster(before: Record, after: Record) -> str:
    parts = {part for part in before.service if before.service[part] != after.service.get(part)}
    if parts == {"cluster"}:
        return "Ignored"
    if parts or (before.replicas != after.replicas and restarted(before, after)):
        return "InPlace"
    return "Companions" if before.companions != after.companions else "Nothing"


def restarted(before: Record, after: Record) -> tuple[str, ...]:
    """The deployments of which a replica went and another came. More or fewer replicas are no restart."""
    both = before.replicas.keys() & after.replicas.keys()
    pairs = {name: (before.replicas[name], after.replicas[name]) for name in both}
    return tuple(sorted(name for name, (old, new) in pairs.items() if old - new and new - old))


def announces_loss(effect: Effect) -> bool:
    """Whether the prediction warned that requests may fail, or nothing runs before or after."""
    return effect.kind in _DOWN or effect.interrupts


def extra_gpus(before: Taken, after: Taken, peak: Taken, kind: str) -> int:
    """GPUs beyond those of the old and of the new state; with a new cluster, all beyond those of the old one."""
    usual = before.gpus if kind == "NewCluster" else max(before.gpus, after.gpus)
    return max(0, peak.gpus - usual)


def wrong(
    predicted: Effect, expected_kind: str, restarts: str, found: Seen, extra: int, lost: int, said: str
) -> tuple[str, ...]:
    """What is not as predicted; empty if all is.

    Args:
        predicted: What our own judgement says.
        expected_kind: Its kind in the words of the table.
        restarts: Whose replicas restart by the table; empty: nobody's.
        found: What was seen.
        extra: Extra GPUs that were seen.
        lost: Requests without an answer.
        said: The effect in the resource's status; empty if it says none for this generation.
    """
    problems = []
    if found.kind != expected_kind:
        problems.append(f"predicted {expected_kind}, seen {found.kind}")
    if expected_kind in ("InPlace", "LivePatch", "AddWorkers") and bool(restarts) != bool(found.restarted):
        problems.append(f"replicas that restart: predicted {restarts or 'none'}, seen {list(found.restarted)}")
    if expected_kind not in ("NewCluster", "Suspend", "Resume") and (found.pods_gone or found.container_restarts):
        problems.append(f"{found.pods_gone} Ray Pods gone, {found.container_restarts} containers restarted")
    if extra > predicted.gpus_more:
        problems.append(f"extra GPUs: predicted {predicted.gpus_more}, seen {extra}")
    if lost and not announces_loss(predicted):
        problems.append(f"{lost} requests lost without a warning")
    if said and said != predicted.kind:
        problems.append(f"status.lastEdit says {said}")
    return tuple(problems)
