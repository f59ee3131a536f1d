"""Which rows of the effect table run on a test cluster, and with which documents. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmpipeline import desired
from llmpipeline.api.quantity import ceil_units
from llmpipeline.desired import Desired
from llmpipeline.effect import Effect, effect_of
from prove_changes.fit import body_for, fitted, probe_only, with_small_autoscaler
from support.effects.edits import Document, Restarts, Row

NAME: Final = "proved"


@dataclass(frozen=True)
class Abilities:
    """What a cluster has that some rows need.

    Attributes:
        node_cpu_milli: What a Pod of the pipeline can request at most.
        gateway: Gateway API's CRDs.
        gateway_classes: The names of its GatewayClasses.
        monitoring: The Prometheus operator's CRDs.
        storage: A default StorageClass.
        accelerators: GPU types that nodes are labelled with.
    """

    node_cpu_milli: int = 1600
    gateway: bool = False
    gateway_classes: frozenset[str] = frozenset()
    monitoring: bool = False
    storage: bool = False
    accelerators: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """A row that runs. `was` and `now` are whole specs.

    Attributes:
        id: Stable as long as the row is called the same.
        route: Where the load goes: the app that the row is about.
        body: What a request holds.
        predicted: What our own judgement says of the change.
        companions: Whether objects beside the RayService change.
        rejected: Whether `now` is rejected.
        base: Equal for cases whose `was` runs on the same Ray cluster.
    """

    id: str
    field: str
    how: str
    derived: bool
    restarts: Restarts
    was: Document
    now: Document
    route: str
    body: Document
    predicted: Effect
    companions: bool
    rejected: bool
    base: str

    @property
    def kind(self) -> str:
        """The predicted effect, in the words of the table."""
        if self.rejected:
            return "Rejected"
        if self.predicted.kind != "Unchanged" or self.predicted.fields:
            return self.predicted.kind
        return "Companions" if self.companions else "Nothing"


@dataclass(frozen=True)
class NotRun:
    """A row that cannot run here, and why."""

    id: str
    field: str
    reason: str


def document(spec: Document, namespace: str) -> Document:
    """The resource with a spec."""
    metadata = {"name": NAME, "namespace": namespace}
    return {"apiVersion": "serving.llmpipeline.dev/v1alpha1", "kind": "LLMPipeline", "metadata": metadata, "spec": spec}


def judged(row: Row, can: Abilities, image: str, namespace: str = "prove") -> Case | NotRun:
    """How a row runs, or why it does not."""
    if row.kind == "Rejected":
        was = probe_only(image)
        now: Document = {**was, "apps": [*was["apps"], *row.now["apps"]]}
    else:
        if why := _lacking(row, can):
            return NotRun(row.title, row.field, why)
        was, now = (fitted(row, spec, image) for spec in (row.was, row.now))
    before, after = _made(was, namespace), _made(now, namespace)
    if before and after and _autoscaled(before) and _autoscaled(after):
        was, now = with_small_autoscaler(was), with_small_autoscaler(now)
        before, after = _made(was, namespace), _made(now, namespace)
    if before is None or (after is None) != (row.kind == "Rejected"):
        return NotRun(row.title, row.field, "with numbers that fit a test cluster its spec is another")
    largest = max(_largest_pod(made) for made in (before, after or before))
    if largest > can.node_cpu_milli:
        return NotRun(row.title, row.field, "needs nodes with more CPUs")
    case = _case(row, (was, now), before, after)
    if case.kind != row.kind:
        return NotRun(row.title, row.field, "has this effect only with Pods that are larger than a test cluster's")
    return case


def back(case: Case, namespace: str = "prove") -> Case | None:
    """The way back, which is a change too; None where it is none: nothing was taken."""
    before, after = _made(case.now, namespace), _made(case.was, namespace)
    if before is None or after is None:
        return None
    return Case(
        f"{case.id} (back)", case.field, f"{case.how} back".strip(), case.derived, case.restarts, case.now, case.was,
        _route(before), body_for(case.now["apps"][0]), effect_of(before.service, after.service),
        before.companions != after.companions, False, case.base,
    )  # fmt: skip


def cases(rows: Iterable[Row], can: Abilities, image: str, namespace: str = "prove") -> tuple[list[Case], list[NotRun]]:
    """What runs, in an order that takes few new Ray clusters, and what does not."""
    found = [judged(row, can, image, namespace) for row in rows]
    runs, seen = list[Case](), dict[str, str]()
    skipped = [one for one in found if isinstance(one, NotRun)]
    for case in (one for one in found if isinstance(one, Case)):
        text = json.dumps([case.was, case.now], sort_keys=True)
        if text in seen:
            skipped.append(NotRun(case.id, case.field, f"the same documents as {seen[text]}"))
        else:
            seen[text] = case.id
            runs.append(case)
    return sorted(runs, key=lambda case: (case.base, case.id)), skipped


def shard(items: Sequence[Case], part: int, parts: int) -> Sequence[Case]:
    """The part-th of so many (from 1): neighbours stay together, because they share a Ray cluster."""
    bounds = [len(items) * index // parts for index in (part - 1, part)]
    return items[bounds[0] : bounds[1]]


def short(items: Sequence[Case]) -> list[Case]:
    """Ten that cover every kind: the first of each, and of changes in place one for each kind of restart."""
    found: dict[tuple[str, str], Case] = {}
    for case in sorted(items, key=lambda case: (case.derived, len(case.id), case.id)):
        found.setdefault((case.kind, case.restarts), case)
    return sorted((case for key, case in found.items() if key[0] != "Nothing"), key=lambda case: case.base)[:10]


def _case(row: Row, specs: tuple[Document, Document], before: Desired, after: Desired | None) -> Case:
    was, now = specs
    effect = effect_of(before.service, after.service) if after else Effect("Unchanged", "It is rejected.")
    companions = after is not None and before.companions != after.companions
    return Case(
        row.title, row.field, row.how, row.derived, row.restarts, was, now, _route(before), body_for(was["apps"][0]),
        effect, companions, row.kind == "Rejected", _base(before),
    )  # fmt: skip


def _made(spec: Document, namespace: str) -> Desired | None:
    made = desired.compile(document(spec, namespace))
    return made if isinstance(made, Desired) else None


def _route(made: Desired) -> str:
    """The first app's: rows put theirs first."""
    first: Any = json.loads(made.service["spec"]["serveConfigV2"])["applications"][0]
    return str(first["route_prefix"])


def _base(made: Desired) -> str:
    cluster = json.dumps(made.service["spec"]["rayClusterConfig"], sort_keys=True)
    return hashlib.sha256(cluster.encode()).hexdigest()[:8]


def _autoscaled(made: Desired) -> bool:
    return bool(made.service["spec"]["rayClusterConfig"].get("enableInTreeAutoscaling"))


def _largest_pod(made: Desired) -> int:
    cluster = made.service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    wanted = [group["template"]["spec"]["containers"][0]["resources"]["requests"] for group in groups]
    return max(milli_of(it.get("cpu", "0")) for it in wanted)


def milli_of(cpus: str) -> int:
    """CPUs as the API server writes them, in thousandths."""
    return int(cpus[:-1]) if cpus.endswith("m") else 1000 * ceil_units(cpus)


def _lacking(row: Row, can: Abilities) -> str:
    """What a row needs that the cluster does not have."""
    said = json.dumps([row.was, row.now]) + row.field
    missing = (reason for pattern, reason, there in _needs(can) if not there and re.search(pattern, said))
    first = next(missing, "")
    wanted = set(re.findall(r'"type": "([A-Z0-9-]+)"', said)) - can.accelerators
    uses = re.search(r'"accelerator"|"gpus"|"partition"', said)
    return first or ("needs GPUs" if uses and (wanted or not can.accelerators) else "")


def _needs(can: Abilities) -> tuple[tuple[str, str, bool], ...]:
    # A batch whose row is not about its model gets a function instead, so only the others are listed.
    model = (
        r'"(tokenizer|summarize)"|spec\.apps\.batch\.(classify|embed)|graph\.nodes\.(classify|embed)'
        r"|modelCache\.path$"
    )
    return (
        (r'"openai"|"generate"', "needs a GPU and an engine", False),
        (r'"claimName"', "needs a default StorageClass", can.storage),
        (r'"storageClassName"', "needs two StorageClasses", False),
        (model, "needs a model", False),
        (r'"incremental"', "needs GatewayClasses istio and envoy", {"istio", "envoy"} <= can.gateway_classes),
        (r'"httpRoute"', "needs Gateway API", can.gateway),
        (r'"(podMonitor|prometheusRule)"', "needs the CRDs of the Prometheus operator", can.monitoring),
        (r'"redis"', "needs Redis", False),
        (r'"rocksdb"', "needs a default StorageClass", can.storage),
        (r'"className"', "needs two classes", False),
        (r"spec\.ray\.version$", "needs an image with another version of Ray", False),
        (r"spec\.ray\.imagePullPolicy$", "needs a registry that the nodes can pull from", False),
        (r'"spot": true', "needs nodes that are labelled as spot", False),
    )
