"""The conditions of pipelines as metrics, and that their number is bounded."""

from prometheus_client import generate_latest

from llmpipeline.api.status import Condition, GpuCount, Status
from llmpipeline.conditions import Applied, Verdict
from llmpipeline.controller import metrics as module
from llmpipeline.controller.metrics import MOST_PIPELINES, Metrics
from llmpipeline.controller.work_queue import WorkQueue
from llmpipeline.names import Key

APPLIED = Verdict(Applied.APPLIED, "")


def status(truth: str, reason: str) -> Status:
    said = {"message": "m", "observed_generation": 1, "last_transition_time": "2026-01-01T00:00:00Z"}
    conditions = [{"type": "Ready", "status": truth, "reason": reason}, {"type": "Reconciling", "status": "False",
                                                                        "reason": "Settled"}]  # fmt: skip
    return Status(conditions=tuple(Condition.model_validate({**said, **it}) for it in conditions))


def shown(metrics: Metrics) -> list[str]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in lines if line.startswith("llmpipeline_ready{")]


async def test_each_pipeline_has_its_condition_and_reason() -> None:
    metrics = Metrics(WorkQueue(1))
    metrics.note(Key("ml", "a"), APPLIED, status("True", "AppsRunning"))
    metrics.note(Key("ml", "b"), APPLIED, status("Unknown", "NoEndpoints"))
    assert shown(metrics) == [
        'llmpipeline_ready{namespace="ml",pipeline="b",reason="NoEndpoints"} 0.0',
        'llmpipeline_ready{namespace="ml",pipeline="a",reason="AppsRunning"} 1.0',
    ]
    metrics.note(Key("ml", "b"), APPLIED, status("True", "AppsRunning"))
    assert len(shown(metrics)) == 2, "another reason takes the place of the former"
    metrics.forget(Key("ml", "a"))
    metrics.note(Key("ml", "b"), None, None)
    assert shown(metrics) == []


async def test_their_number_is_bounded_and_those_with_a_problem_come_first() -> None:
    metrics = Metrics(WorkQueue(1))
    for number in range(MOST_PIPELINES + 10):
        fine = number != MOST_PIPELINES + 9
        metrics.note(Key("ml", f"p{number}"), APPLIED, status("True" if fine else "False", "X"))
    lines = shown(metrics)
    assert len(lines) == MOST_PIPELINES
    assert lines[0].endswith(" 0.0")
    assert module.MOST_PIPELINES == 2000, "docs/how-to/monitor.md says so"


async def test_gpus_are_shown_once_they_are_known() -> None:
    metrics = Metrics(WorkQueue(1))
    metrics.note(Key("ml", "a"), APPLIED, Status(gpus=GpuCount(requested=2, maximum=8)))
    metrics.note(Key("ml", "b"), APPLIED, Status())
    page = generate_latest(metrics.registry).decode()
    assert 'llmpipeline_gpus_requested{namespace="ml",pipeline="a"} 2.0' in page
    assert 'llmpipeline_gpus_maximum{namespace="ml",pipeline="a"} 8.0' in page
    assert 'llmpipeline_gpus_requested{namespace="ml",pipeline="b"}' not in page
    assert "llmpipeline_pipelines 2.0" in page
