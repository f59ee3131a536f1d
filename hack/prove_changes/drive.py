"""Runs one case on a cluster: base, load, change, records."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from llmpipeline.effect import Effect
from prove_changes.judge import Record, Taken, extra_gpus, seen, wrong
from prove_changes.observe import (
    is_rejected,
    is_settled,
    kinds_beside,
    pods_leaving,
    record,
    said_effect,
    taken,
)
from prove_changes.rows import NAME, Abilities, Case, document
from support.e2e.kubectl import LLMP, CommandError, Kube, Manifest, until
from support.e2e.serving import Client, make_code, url

_CLIENTS: Final = 8
_BASE_SECONDS: Final = 300
_SAMPLE_SECONDS: Final = 1.5
# How the API server rejects what breaks a rule of the schema.
_INVALID: Final = re.compile(r"is invalid:|Invalid value|unknown field|denied the request")


@dataclass(frozen=True)
class Settings:
    """How cases run.

    Attributes:
        namespace: Where.
        image: The image of Ray, and of the client.
        per_second: Requests of all clients together.
        baseline: Seconds under load before the change.
        steady: Seconds for which nothing must move before it counts as finished.
        quiet: Seconds under load after that.
        seconds: What a change may take.
    """

    namespace: str = "prove"
    image: str = "llmpipeline/serve:2.60.0-base"
    per_second: float = 40
    baseline: float = 6
    steady: float = 6
    quiet: float = 2
    seconds: float = 240


@dataclass(frozen=True)
class Settled:
    """When a change was finished.

    Attributes:
        seconds: After it was applied.
        early: How long before that the status first said so, though things still moved.
    """

    seconds: float = 0.0
    early: float = 0.0


Result = dict[str, Any]


class Driver:
    """One namespace with one pipeline, on which cases run one after another."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self._kube, self._is = kube, settings
        self._client = Client(kube, settings.namespace, settings.image)
        self._beside = kinds_beside(kube)

    def prepare(self, can: Abilities) -> None:
        """The namespace, and in it what the rows refer to, like Secrets and ServiceAccounts, and the client."""
        namespace = self._is.namespace
        self._kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        make_code(self._kube, namespace)
        self._kube.apply(*_referred(namespace), *(_claims(namespace) if can.storage else ()))
        self._client.start()

    def remove(self) -> None:
        """The pipeline, and its Ray cluster."""
        self._kube.delete(LLMP, NAME, self._is.namespace, "--cascade=foreground", seconds=300)
        until(lambda: not self._clusters(), 240, "the Ray clusters to be gone", 2)

    def run(self, case: Case) -> Result:
        """One case. What goes wrong with the harness or the base is in `failed`."""
        began = time.monotonic()
        result: Result = {"id": case.id, "field": case.field, "how": case.how, "derived": case.derived}
        result["predicted"] = {**_short(case.predicted), "kind": case.kind, "restarts": case.restarts}
        try:
            self._settle(case.was, _BASE_SECONDS)
            result |= self._measure(case)
        except (CommandError, TimeoutError, KeyError, ValueError) as error:
            result["failed"] = " ".join(str(error).split())[:300]
            with suppress(CommandError, TimeoutError):
                self.remove()
        return {**result, "seconds": round(time.monotonic() - began)}

    def _measure(self, case: Case) -> Result:
        before = self._record()
        with self._peak() as peak, self._load(case) as load:
            start = peak.now
            time.sleep(self._is.baseline)
            at = time.time()
            rejected, late, settled = self._change(case)
            time.sleep(self._is.quiet)
        took = {"settled": round(settled.seconds, 1), "early": round(settled.early, 1)}
        judged = self._judged(case, (before, self._record()), (start, peak), load, at, rejected=rejected, late=late)
        return {**judged, **took}

    def _change(self, case: Case) -> tuple[bool, str, Settled]:
        """Whether it was rejected, why it is not finished (empty if it is), and when it was."""
        settled = Settled()
        try:
            settled = self._settle(case.now, self._is.seconds)
        except CommandError as error:
            if not _INVALID.search(str(error)):
                raise
            return True, "", settled
        except TimeoutError as error:
            return False, " ".join(str(error).split())[:200], settled
        return is_rejected(self._kube.get(LLMP, NAME, self._is.namespace)), "", settled

    def _judged(
        self, case: Case, records: tuple[Record, Record], gpus: tuple[Taken, "_Peak"], load: Result, at: float, *,
        rejected: bool, late: str,
    ) -> Result:  # fmt: skip
        start, peak = gpus
        found = seen(*records, rejected=rejected)
        extra = extra_gpus(start, peak.now, peak.most, found.kind)
        lost = sum(load["lost"].values())
        said = "" if rejected else said_effect(self._kube, self._is.namespace)
        problems = wrong(case.predicted, case.kind, case.restarts, found, extra, lost, said)
        if late:
            problems += (f"not finished: {late}",)
        cpus = {"cpus_before": start.cpu_milli, "cpus_peak": peak.most.cpu_milli}
        return {
            "seen": {**asdict(found), "extra_gpus": extra, **cpus},
            "requests": load["asked"], "lost": lost, "errors": _most(load["lost"]), **_timed(load, at),
            "wrong": list(problems),
        }  # fmt: skip

    def _settle(self, spec: Manifest, seconds: float) -> Settled:
        """Applies a spec, without fields of an earlier one, and waits until nothing moves any more for some time.

        KubeRay says that it has seen a new RayService before it says what became of its apps, so for about two seconds
        the status may be that of the apps before.
        """
        self._put(document(spec, self._is.namespace))
        began = time.monotonic()
        first = since = 0.0
        while (now := time.monotonic() - began) < seconds or since:
            since = (since or now) if self._settled() else 0.0
            first = first or since
            if since and time.monotonic() - began - since >= self._is.steady:
                return Settled(since, since - first)
            time.sleep(1)
        about = self._kube.conditions(NAME, self._is.namespace)
        said = "; ".join(f"{kind} {it['status']} {it['reason']}: {it['message']}" for kind, it in about.items())
        raise TimeoutError(f"not settled after {seconds:.0f} s: {said}")

    def _put(self, wanted: Manifest) -> None:
        """Replaces, because an apply merges and keeps what a controller or an earlier case has set."""
        verb = "replace" if self._kube.get(LLMP, NAME, self._is.namespace) else "create"
        self._kube.kubectl(verb, "-f", "-", given=json.dumps(wanted))

    def _settled(self) -> bool:
        pipeline = self._kube.get(LLMP, NAME, self._is.namespace)
        return is_settled(pipeline, len(self._clusters())) and not pods_leaving(self._kube, self._is.namespace)

    def _clusters(self) -> list[Manifest]:
        return list(self._kube.list("rayclusters", self._is.namespace))

    def _record(self) -> Record:
        return record(self._kube, self._is.namespace, self._beside)

    @contextmanager
    def _peak(self) -> Iterator["_Peak"]:
        """Looks at what the Pods request, again and again."""
        peak = _Peak(self._kube, self._is.namespace)
        peak.start()
        try:
            yield peak
        finally:
            peak.stop()

    @contextmanager
    def _load(self, case: Case) -> Iterator[Result]:
        """Load in the client's Pod for as long as the block takes; the dict has its result afterwards."""
        result: Result = {}
        address = f"{url(NAME, self._is.namespace)}{case.route}"
        given = [address, str(_CLIENTS), str(self._is.per_second), "0", json.dumps(case.body)]
        quoted = " ".join(f"'{word}'" for word in given)
        asking = f"python3 /code/load.py {quoted} >/tmp/load.out 2>&1; touch /tmp/ended"
        run = f"rm -f /tmp/stop /tmp/ended; ({asking}) </dev/null >/dev/null 2>&1 &"
        if not case.was.get("suspend"):
            until(lambda: self._client.ask(address, case.body)[0] == 200, 60, f"{address} to answer")
        self._in_client("sh", "-c", run)
        try:
            yield result
        finally:
            self._in_client("touch", "/tmp/stop")
        ended = ("sh", "-c", "test -e /tmp/ended && echo yes || true")
        until(lambda: self._in_client(*ended).strip(), 90, "the load to end")
        result |= json.loads(self._in_client("tail", "-n", "1", "/tmp/load.out"))

    def _in_client(self, *command: str) -> str:
        return self._kube.kubectl("exec", "-n", self._is.namespace, Client.name, "--", *command)


class _Peak:
    """The most that the Pods requested at one time, and what they request now."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.most = self.now = Taken()
        self._kube, self._namespace = kube, namespace
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def start(self) -> None:
        self._look()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(130)

    def _look_on(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            with suppress(CommandError):
                self._look()

    def _look(self) -> None:
        self.now = taken(self._kube, self._namespace)
        self.most = Taken(max(self.most.gpus, self.now.gpus), max(self.most.cpu_milli, self.now.cpu_milli))


def _referred(namespace: str) -> Iterator[Manifest]:
    """What the rows' specs name. The PriorityClasses differ in name alone, so nothing is preempted."""
    for name in ("one", "other", "s"):
        metadata = {"name": name, "namespace": namespace}
        data = dict.fromkeys(("one", "other", "k"), "x")
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    for name in ("low", "high"):
        yield {
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 0,
            "preemptionPolicy": "Never",
        }  # fmt: skip


def _claims(namespace: str) -> Iterator[Manifest]:
    for name in ("one", "other", "models"):
        metadata = {"name": name, "namespace": namespace}
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _timed(load: Result, at: float) -> Result:
    """The longest time without an answer before the change, and since.

    And of the requests that were lost, how long after the change that was, and what the first ones had waited.
    """
    change = at - load["began"]
    gaps = {int(second): float(gap) for second, gap in load["gaps"].items()}
    return {
        "gap_before": max((gap for second, gap in gaps.items() if 0 < second < int(change)), default=0.0),
        "gap": max((gap for second, gap in gaps.items() if second >= int(change)), default=0.0),
        "lost_at": {str(int(second) - int(change)): lost for second, lost in load["lost_at"].items()},
        "lost_waited": load["lost_waited_seconds"],
    }


def _most(errors: dict[str, int]) -> dict[str, int]:
    """The three most frequent kinds of errors."""
    return dict(sorted(errors.items(), key=lambda item: -item[1])[:3])


def _short(effect: Effect) -> Result:
    return {"message": effect.message[:150], "gpus_more": effect.gpus_more}
