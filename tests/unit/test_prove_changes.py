"""The pure parts of `make prove-changes`: which rows run, with which documents, and what a record is called."""

import sys
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from llmpipeline import desired
from llmpipeline.desired import Desired
from llmpipeline.effect import Effect
from support.effects.rows import rows
from support.repository import HACK

sys.path.insert(0, str(HACK))

from prove_changes import report
from prove_changes.judge import (
    ClusterSeen,
    PodSeen,
    Record,
    Seen,
    Taken,
    announces_loss,
    extra_gpus,
    kind_of,
    restarted,
    seen,
    wrong,
)
from prove_changes.observe import is_settled
from prove_changes.plot import plot
from prove_changes.rows import Abilities, Case, NotRun, back, cases, document, shard, short

IMAGE = "llmpipeline/serve:2.60.0-base"


@pytest.fixture(scope="module")
def judged() -> tuple[list[Case], list[NotRun]]:
    return cases(rows(), Abilities(), IMAGE)


def test_every_row_runs_or_says_why_not(judged: tuple[list[Case], list[NotRun]]) -> None:
    runs, skipped = judged
    assert len(runs) >= 150
    assert {one.id for one in (*runs, *skipped)} == {row.title for row in rows()}
    assert len(runs) + len(skipped) == len(rows())
    assert all(one.reason for one in skipped)


def test_documents_that_run_are_accepted(judged: tuple[list[Case], list[NotRun]]) -> None:
    for case in judged[0][::8]:
        assert isinstance(desired.compile(document(case.was, "prove")), Desired), case.id
        assert isinstance(desired.compile(document(case.now, "prove")), Desired) != case.rejected, case.id
        assert case.was != case.now


def test_a_row_has_the_kind_of_the_table(judged: tuple[list[Case], list[NotRun]]) -> None:
    table = {row.title: row.kind for row in rows()}
    assert {case.id: case.kind for case in judged[0]} == {case.id: table[case.id] for case in judged[0]}


def test_what_the_cluster_has_lets_more_rows_run(judged: tuple[list[Case], list[NotRun]]) -> None:
    everything = Abilities(
        64_000, gateway=True, gateway_classes=frozenset({"istio", "envoy"}), monitoring=True, storage=True,
        accelerators=frozenset({"T4"}),
    )  # fmt: skip
    chosen = [row for row in rows() if row.field.startswith(("spec.monitoring", "spec.network.httpRoute"))]
    assert len(cases(chosen, everything, IMAGE)[0]) > len(cases(chosen, Abilities(), IMAGE)[0])


def test_the_short_form_covers_every_kind(judged: tuple[list[Case], list[NotRun]]) -> None:
    chosen = short(judged[0])
    assert len(chosen) <= 10
    assert {case.kind for case in chosen} == {case.kind for case in judged[0]} - {"Nothing"}


def test_shards_are_everything_once(judged: tuple[list[Case], list[NotRun]]) -> None:
    runs = judged[0]
    assert [case for part in range(1, 9) for case in shard(runs, part, 8)] == runs


def test_the_way_back_is_a_change_of_its_own(judged: tuple[list[Case], list[NotRun]]) -> None:
    suspend = next(case for case in judged[0] if case.kind == "Suspend")
    other = back(suspend)
    assert other
    assert (other.kind, other.was, other.now) == ("Resume", suspend.now, suspend.was)
    assert back(next(case for case in judged[0] if case.rejected)) is None


LIVE = Record(
    clusters=(ClusterSeen("a", ("cpu",), "1"),),
    pods={"head": PodSeen("head"), "worker": PodSeen("worker")},
    replicas={"app/Hello": frozenset({"1", "2"}), "probe/Hello": frozenset({"3"})},
    service={"cluster": "c", "serve": "s", "others": "o"},
    companions={"NetworkPolicy proved": "p"},
)


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        (LIVE, "Nothing"),
        (replace(LIVE, companions={}), "Companions"),
        (replace(LIVE, service={**LIVE.service, "serve": "t"}), "InPlace"),
        (replace(LIVE, service={**LIVE.service, "cluster": "d"}), "Ignored"),
        (replace(LIVE, clusters=(ClusterSeen("a", ("cpu",), "2"),)), "LivePatch"),
        (replace(LIVE, clusters=(ClusterSeen("a", ("cpu", "more"), "2"),)), "AddWorkers"),
        (replace(LIVE, clusters=(ClusterSeen("b", ("cpu",), "1"),)), "NewCluster"),
        (Record(), "Suspend"),
    ],
)
def test_what_is_seen_has_a_name(after: Record, kind: str) -> None:
    assert kind_of(LIVE, after, rejected=False) == kind


def test_what_is_rejected_or_comes_back_has_a_name() -> None:
    assert kind_of(LIVE, LIVE, rejected=True) == "Rejected"
    assert kind_of(Record(), LIVE, rejected=False) == "Resume"


def test_more_or_fewer_replicas_are_no_restart() -> None:
    for ids, expected in (({"1"}, ()), ({"1", "2", "4"}, ()), ({"1", "4"}, ("app/Hello",)), ({"4"}, ("app/Hello",))):
        after = replace(LIVE, replicas={**LIVE.replicas, "app/Hello": frozenset(ids)})
        assert restarted(LIVE, after) == expected


def test_pods_that_went_and_containers_that_restarted_are_counted() -> None:
    after = replace(LIVE, pods={"head": PodSeen("head", 1), "other": PodSeen("other", 3)})
    found = seen(LIVE, after, rejected=False)
    assert (found.pods_gone, found.container_restarts) == (1, 1)


@pytest.mark.parametrize("announced", [True, False])
def test_an_effect_announces_lost_requests_or_does_not(announced: bool) -> None:
    assert announces_loss(Effect("InPlace", "...", interrupts=announced)) == announced


def test_a_suspension_announces_lost_requests() -> None:
    assert announces_loss(Effect("Suspend", "..."))


def test_extra_gpus_are_those_beyond_both_states() -> None:
    assert extra_gpus(Taken(2), Taken(4), Taken(4), "AddWorkers") == 0
    assert extra_gpus(Taken(2), Taken(4), Taken(6), "NewCluster") == 4


def test_what_differs_from_the_prediction_is_named() -> None:
    fine = Seen("InPlace", (), 0, 0)
    effect = Effect("InPlace", "Ray Serve changes app one in place; no replica restarts.")
    assert wrong(effect, "InPlace", "", fine, 0, 0, "InPlace") == ()
    assert len(wrong(effect, "InPlace", "app", fine, 0, 0, "InPlace")) == 1
    assert len(wrong(effect, "InPlace", "", replace(fine, restarted=("app/Hello",)), 0, 0, "InPlace")) == 1
    assert len(wrong(effect, "NewCluster", "", replace(fine, pods_gone=2), 1, 5, "LivePatch")) == 4


def test_a_pipeline_is_settled_when_nothing_moves() -> None:
    def pipeline(reconciling: str, ready: str, *, observed: int = 2, accepted: str = "True", suspend: bool = False):
        found = {"Reconciling": reconciling, "Ready": ready, "Accepted": accepted}
        reason = "Suspended" if suspend else "Settled"
        conditions = [{"type": kind, "status": status, "reason": reason} for kind, status in found.items()]
        status = {"observedGeneration": observed, "conditions": conditions}
        return {"metadata": {"generation": 2}, "spec": {"suspend": suspend}, "status": status}

    assert is_settled(pipeline("False", "True"), 1)
    assert not is_settled(pipeline("False", "True", observed=1), 1)
    assert not is_settled(pipeline("False", "True"), 2)
    assert not is_settled(pipeline("True", "True"), 1)
    assert is_settled(pipeline("True", "False", accepted="False"), 1)
    assert is_settled(pipeline("False", "False", suspend=True), 0)
    assert not is_settled(None, 0)


def test_the_page_lists_what_was_and_what_was_not_measured(tmp_path) -> None:
    predicted = {"kind": "InPlace", "restarts": "", "message": "", "gpus_more": 0}
    found = {"kind": "InPlace", "restarted": [], "extra_gpus": 0}
    result = {"id": "a", "field": "spec.a", "how": "", "derived": False, "predicted": predicted, "seen": found,
              "requests": 9, "lost": 1, "gap": 0.2, "gap_before": 0.1, "wrong": ["1 requests lost"]}  # fmt: skip
    file = tmp_path / "results.jsonl"
    report.append(file, {**result, "lost": 5})
    report.append(file, result)
    page = report.page(report.read(file).values(), [NotRun("b", "spec.b", "needs GPUs")], 2, "Two cores.")
    assert "| `a` | another value | InPlace | InPlace | 9 | 1 | 0.20 (0.10) | 0/0 |" in page
    assert "- `a` (a): 1 requests lost" in page
    assert "| 1 | needs GPUs |" in page
    assert "| 2 | nobody has run it yet |" in page
    assert "\nTwo cores.\n" in page


def test_the_picture_has_a_dot_for_each_change_that_was_measured() -> None:
    def result(kind: str, restarts: str, gap: float) -> dict[str, Any]:
        return {"predicted": {"kind": kind, "restarts": restarts}, "gap": gap, "gap_before": 0.25}

    found = [result("InPlace", "", 0.5), result("InPlace", "app", 1.5), result("NewCluster", "all", 3.0)]
    picture = ElementTree.fromstring(plot([*found, {"failed": "no", "predicted": {"kind": "InPlace"}}]))
    dots = [float(it.attrib["cx"]) for it in picture if it.tag.endswith("circle")]
    assert dots == [210 + gap / 4 * 600 for gap in (0.5, 1.5, 3.0)]  # four seconds are 600 pixels wide
    words = [it.text for it in picture if it.tag.endswith("text")]
    assert words[-3:] == ["in place, nothing restarts (1)", "in place, replicas restart (1)", "new Ray cluster (1)"]
