"""What the Pods of a Ray cluster say of why they do not run, in the words of the scheduler, the kubelet and Ray. Pure.

A worker Pod that runs and is not ready is no fault: without a replica its readiness probe fails by design.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from llmpipeline.kuberay.conventions import GCS_CONTAINER, LABEL_GROUP, LABEL_NODE_TYPE
from llmpipeline.kuberay.text import last_words, plain
from llmpipeline.kuberay.untrusted import dict_of, dicts_of
from llmpipeline.names import Manifest

# Of a container that only has not started yet.
_STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
_BACK_OFF: Final = "CrashLoopBackOff"
# The kubelet says them in turn about one image; the first time with the registry's words.
_PULL: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
# Without a head workers give up, whatever keeps the head from running.
_NO_HEAD: Final = f"{GCS_CONTAINER} ended"
# Warnings about a Pod without a node, which stay for an hour after it has got one.
_OVER: Final = frozenset({"FailedScheduling"})
# KubeRay's probes fail every 5 s while a container starts, and end it after 10 minutes. Fewer failures are usual, and
# many more are not reported at once: the kubelet writes some 25 events of a Pod, and then one in five minutes.
_PROBE: Final = "Unhealthy"
_PATIENCE: Final = 12
_LONGEST: Final = 600
_MOST_CAUSES: Final = 8


class Cause(NamedTuple):
    """Why Pods of one group do not run.

    Attributes:
        waits: Nothing has failed: they wait for a node, which may still come.
        text: A sentence without its period.
    """

    waits: bool
    text: str


@dataclass(frozen=True, slots=True)
class PodsSeen:
    """The Pods of a Ray cluster, in sum.

    Attributes:
        total: How many there are.
        running: How many of them have all containers started.
        waiting: How many wait for a node.
        running_in: How many run of each worker group.
        causes: One for each distinct problem.
        silent: UID of a Pod that is in the middle of its start and says nothing, so that its events may; or empty.
    """

    total: int
    running: int
    waiting: int
    causes: tuple[Cause, ...]
    silent: str = ""
    running_in: Mapping[str, int] = field(default_factory=dict)

    def is_short_of(self, raycluster: Manifest) -> bool:
        """Whether a worker group has fewer running Pods than its minimum."""
        groups = dicts_of(dict_of(raycluster.get("spec")).get("workerGroupSpecs"))
        return any(self.running_in.get(str(it.get("groupName")), 0) < _minimum(it) for it in groups)

    @property
    def summary(self) -> str:
        """A sentence."""
        starting = self.total - self.running - self.waiting
        parts = [f"{self.running} of {self.total} Pods run"]
        parts += [f"{self.waiting} wait for a node"] * bool(self.waiting)
        parts += [f"{starting} start (images, volumes, containers)"] * bool(starting)
        return f"{', '.join(parts)}."


class _Problem(NamedTuple):
    """What is wrong with one Pod; Pods of a group with the same `kind` have one cause together."""

    kind: str
    waits: bool
    text: str


def pods_seen(pods: Iterable[Manifest], events: Mapping[str, Sequence[Manifest]]) -> PodsSeen:
    """Reads Pods as the API server returned them. Anything may be missing.

    Args:
        pods: Those of one Ray cluster.
        events: Warnings about Pods, by the Pod's UID.
    """
    there = [pod for pod in pods if not _is_over(pod)]
    problems = {_uid(pod): _problem(pod) or _warned(events.get(_uid(pod), ())) for pod in there}
    if not any(_runs(pod) for pod in there if not _group(pod)):
        problems = {uid: None if problem and problem.kind == _NO_HEAD else problem for uid, problem in problems.items()}
    running = [pod for pod in there if _runs(pod)]
    waiting = [pod for pod in there if _condition(pod, "PodScheduled").get("status") == "False"]
    silent = (_uid(pod) for pod in there if not problems[_uid(pod)] and _is_silent(pod))
    causes = tuple(_causes(there, problems))
    running_in = Counter(map(_group, running))
    return PodsSeen(len(there), len(running), len(waiting), causes[:_MOST_CAUSES], next(silent, ""), running_in)


def _minimum(group: Manifest) -> int:
    """Pods of a worker group without which it is not complete; of several hosts each replica has several."""
    replicas, hosts = group.get("minReplicas"), group.get("numOfHosts")
    if group.get("suspend") is True or not isinstance(replicas, int):
        return 0
    return replicas * (hosts if isinstance(hosts, int) else 1)


def _causes(pods: Sequence[Manifest], problems: Mapping[str, _Problem | None]) -> Iterator[Cause]:
    sizes = Counter(map(_group, pods))
    found: dict[tuple[str, str], list[_Problem]] = {}
    for pod in pods:
        problem = problems[_uid(pod)]
        if problem:
            found.setdefault((_group(pod), problem.kind), []).append(problem)
    for (group, _), same in sorted(found.items(), key=lambda item: item[1][0].waits):
        # The longest has the most to say: of a pull that is being tried again only the first has the registry's words.
        text = max((problem.text for problem in same), key=len)
        yield Cause(same[0].waits, f"{_who(group, len(same), sizes[group])}: {text}")


def _who(group: str, count: int, size: int) -> str:
    if not group:
        return "the head Pod"
    return f"{count} of {size} Pods of worker group {group}"


def _problem(pod: Manifest) -> _Problem | None:
    for find in (_disrupted, _failed, _unscheduled, _container, _lost):
        problem = find(pod)
        if problem:
            return problem
    return None


def _disrupted(pod: Manifest) -> _Problem | None:
    """Preempted, evicted, or its node is gone: who did it says so."""
    said = _condition(pod, "DisruptionTarget")
    if said.get("status") != "True":
        return None
    return _said(said.get("reason"), said.get("message"))


def _failed(pod: Manifest) -> _Problem | None:
    """The kubelet ended it, or did not take it."""
    status = _status(pod)
    if status.get("phase") != "Failed" or not status.get("reason"):
        return None
    return _said(status.get("reason"), status.get("message"))


def _unscheduled(pod: Manifest) -> _Problem | None:
    said = _condition(pod, "PodScheduled")
    if said.get("status") != "False":
        return None
    problem = _said(said.get("reason"), said.get("message"))
    return problem._replace(waits=True)


def _said(reason: object, message: object) -> _Problem:
    word, text = plain(reason, 64), plain(message, _LONGEST)
    return _Problem(word, False, f"{word}: {text}" if text else word)


def _container(pod: Manifest) -> _Problem | None:
    status = _status(pod)
    for statuses in ("initContainerStatuses", "containerStatuses"):
        for container in dicts_of(status.get(statuses)):
            problem = _container_problem(container)
            if problem:
                return problem
    return None


def _container_problem(container: Manifest) -> _Problem | None:
    """Why it does not start, or why it ended; nothing if it works, whatever it did before."""
    name, state = plain(container.get("name"), 64), dict_of(container.get("state"))
    waiting, ended = dict_of(state.get("waiting")), dict_of(state.get("terminated"))
    reason = plain(waiting.get("reason"), 64)
    before = dict_of(dict_of(container.get("lastState")).get("terminated"))
    if reason and reason not in _STARTING | {_BACK_OFF}:
        said = _said(reason, waiting.get("message"))
        kind = "pull" if reason in _PULL else said.kind
        return _Problem(f"{name} {kind}", False, f"container {name}: {said.text}")
    if reason == _BACK_OFF or (before and not container.get("ready") and "running" in state):
        ended = ended or before
    if not ended:
        return None
    if ended.get("exitCode") == 0 and reason != _BACK_OFF:  # an init container that is done
        return None
    count = container.get("restartCount")
    times = f" {count} times, last" if isinstance(count, int) and count > 1 else ""
    return _Problem(f"{name} ended", False, f"container {name} ended{times} with {_end(ended)}")


def _end(terminated: Manifest) -> str:
    """Exit code, reason where it says more than `Error`, and the last words."""
    reason, words = plain(terminated.get("reason"), 64), last_words(terminated.get("message"))
    code, signal = terminated.get("exitCode"), terminated.get("signal")
    text = f"exit code {code}" if isinstance(code, int) else "an unknown exit code"
    text += f" (signal {signal})" if isinstance(signal, int) and signal else ""
    text = text if reason in ("", "Error", "Completed") else f"{reason}, {text}"
    return f"{text}: {words}" if words else text


def _lost(pod: Manifest) -> _Problem | None:
    """Its containers were ready when its node was last heard of, and Kubernetes says that the Pod is not."""
    containers = dicts_of(_status(pod).get("containerStatuses"))
    is_ready = _condition(pod, "Ready").get("status") != "False"
    if is_ready or not containers or not all(it.get("ready") is True for it in containers):
        return None
    if dict_of(pod.get("spec")).get("readinessGates"):
        return None
    node = plain(dict_of(pod.get("spec")).get("nodeName"), 253)
    return _Problem("NodeLost", False, f"node {node} does not report any more")


def _warned(events: Sequence[Manifest]) -> _Problem | None:
    """The newest warning about a Pod whose status says nothing: a volume that cannot be mounted, failing probes."""
    early = {_PROBE} if sum(map(_count, events)) < _PATIENCE else set()
    current = [it for it in events if it.get("reason") not in _OVER | early]
    newest = max(current, key=lambda it: str(it.get("lastTimestamp") or it.get("eventTime") or ""), default=None)
    return _said(newest.get("reason"), newest.get("message")) if newest else None


def _count(event: Manifest) -> int:
    """How often a probe has failed; 0 of other events. The kubelet writes one for each probe and message."""
    count = event.get("count")
    return (count if isinstance(count, int) else 1) if event.get("reason") == _PROBE else 0


def _is_silent(pod: Manifest) -> bool:
    """Whether it has a node, and does not run; or is a head that runs and is not ready."""
    if _condition(pod, "PodScheduled").get("status") != "True":
        return False
    if any("running" in dict_of(it.get("state")) for it in dicts_of(_status(pod).get("initContainerStatuses"))):
        return False  # it is at work: a worker waits for the head in one of them
    return not _runs(pod) or (not _group(pod) and _condition(pod, "Ready").get("status") == "False")


def _runs(pod: Manifest) -> bool:
    containers = dicts_of(_status(pod).get("containerStatuses"))
    return bool(containers) and all("running" in dict_of(it.get("state")) for it in containers)


def _is_over(pod: Manifest) -> bool:
    """Whether it is being deleted, and not because of a disruption."""
    deleted = "deletionTimestamp" in dict_of(pod.get("metadata"))
    return deleted and _condition(pod, "DisruptionTarget").get("status") != "True"


def _group(pod: Manifest) -> str:
    """The worker group's name; empty for the head."""
    labels = dict_of(dict_of(pod.get("metadata")).get("labels"))
    return "" if labels.get(LABEL_NODE_TYPE) == "head" else plain(labels.get(LABEL_GROUP), 64) or "?"


def _uid(pod: Manifest) -> str:
    return str(dict_of(pod.get("metadata")).get("uid", ""))


def _status(pod: Manifest) -> Manifest:
    return dict_of(pod.get("status"))


def _condition(pod: Manifest, kind: str) -> Manifest:
    return next((it for it in dicts_of(_status(pod).get("conditions")) if it.get("type") == kind), {})
