"""Events on pipelines: what is worth one, the same one once, few of each pipeline, and none that disturbs the work."""

import asyncio
import contextlib
from typing import Any

import pytest

from llmpipeline.api.status import Condition, LastEdit, Status
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.controller import events as module
from llmpipeline.controller.events import BURST, EventRecorder
from llmpipeline.names import Key
from llmpipeline.status.news import News, news_of

KEY = Key("ml", "chat")


def status(
    ready: str, available: str = "False NoEndpoints", message: str = "so", edit: LastEdit | None = None
) -> Status:
    said = {"Ready": ready, "Available": available}
    conditions = tuple(
        Condition(type=kind, status=text.split()[0], reason=text.split()[1], message=message,
                  observed_generation=1, last_transition_time="2026-01-01T00:00:00Z")  # type: ignore[arg-type]
        for kind, text in said.items()
    )  # fmt: skip
    return Status(conditions=conditions, last_edit=edit)


STARTING, RUNNING = status("False Initializing"), status("True AppsRunning", "True AppsRunning")
EDIT = LastEdit(effect="InPlace", message="two replicas", observed_generation=2)


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (Status(), STARTING, []),
        (Status(), status("False InvalidSpec"), [("Warning", "InvalidSpec")]),
        (STARTING, status("False PodsPending"), [("Normal", "PodsPending")]),
        (STARTING, status("False PodsFailing"), [("Warning", "PodsFailing")]),
        (STARTING, RUNNING, [("Normal", "AppsRunning")]),
        (RUNNING, status("False Upgrading", "True ServingOldCluster"), [("Normal", "Upgrading")]),
        (RUNNING, status("False AppsFailed", "False AppsFailed"), [("Warning", "AppsFailed")]),
        (RUNNING, status("False PodsFailing", "False NoEndpoints"), [("Warning", "PodsFailing"),
                                                                     ("Warning", "NoEndpoints")]),
        (RUNNING, status("False Suspended", "False Suspended"), [("Normal", "Suspended")]),
        (status("False PodsFailing", message="1 of 2"), status("False PodsFailing", message="2 of 2"), []),
        (RUNNING, RUNNING.model_copy(update={"last_edit": EDIT}), [("Normal", "Updated")]),
        (RUNNING, RUNNING, []),
    ],
)  # fmt: skip
def test_what_is_news(before: Status, after: Status, news: list[tuple[str, str]]) -> None:
    assert [(item.type, item.reason) for item in news_of(before, after)] == news


class FakeCluster:
    """Keeps what is posted, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.counts: list[int] = []
        self.error = error

    async def create_event(self, event: dict[str, Any]) -> None:
        if self.error:
            raise self.error
        self.events.append(event)

    async def count_event(self, _key: Key, count: int, _time: str) -> None:
        self.counts.append(count)


async def recorded(cluster: FakeCluster, *news: News, key: Key = KEY) -> EventRecorder:
    recorder = EventRecorder(cluster)  # type: ignore[arg-type]
    recorder.note(key, "uid", news)
    task = asyncio.create_task(recorder.run())
    await asyncio.sleep(0.02)
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return recorder


async def test_the_same_event_is_counted() -> None:
    cluster = FakeCluster()
    news = News("Warning", "PodsFailing", "no image")
    await recorded(cluster, news, news, News("Normal", "AppsRunning", "well"), news)
    assert [event["reason"] for event in cluster.events] == ["PodsFailing", "AppsRunning"]
    assert cluster.counts == [2, 3]


async def test_one_pipeline_posts_few_and_another_is_not_held_back() -> None:
    cluster = FakeCluster()
    recorder = await recorded(cluster, *(News("Normal", "Updated", str(number)) for number in range(100)))
    assert len(cluster.events) == BURST
    recorder.note(Key("ml", "other"), "uid", [News("Normal", "Updated", "x")])
    assert recorder._waiting.qsize() == 1


@pytest.mark.parametrize("error", [RequestRejected(403, "Forbidden"), Unreachable("no route")])
async def test_events_that_cannot_be_posted_are_let_go(error: Exception) -> None:
    await recorded(FakeCluster(error), News("Normal", "Updated", "x"))


async def test_the_queue_is_bounded() -> None:
    recorder = EventRecorder(FakeCluster())  # type: ignore[arg-type]
    for number in range(module._MOST_WAITING + 10):
        recorder.note(Key("ml", f"p{number}"), "uid", [News("Normal", "Updated", "x")])
    assert recorder._waiting.qsize() == module._MOST_WAITING


async def test_a_long_message_is_cut_at_what_the_api_server_takes() -> None:
    cluster = FakeCluster()
    await recorded(cluster, News("Warning", "AppsFailed", "ü" * 2000))
    assert 900 < len(cluster.events[0]["note"].encode()) <= 1024
