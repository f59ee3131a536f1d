"""Following objects: what a list shows, what a watch tells, and how it goes on when it ends. The server is a fake."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from llmpipeline.cluster import follow
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.follow import Change, Follower
from llmpipeline.cluster.metadata import Metadata, Page, WatchEvent
from llmpipeline.names import Key

KIND = "RayService"


def at(name: str, version: int) -> Metadata:
    return Metadata(Key("ns", name), f"uid-{name}", str(version))


def bookmark(version: int) -> WatchEvent:
    return WatchEvent("BOOKMARK", Metadata(Key("", ""), "", str(version)))


class FakeApiServer:
    """Answers lists and watches from scripts; a watch without a script says nothing and stays open."""

    def __init__(self) -> None:
        self.lists: list[Page | Exception] = []
        self.watches: list[list[WatchEvent | Exception]] = []
        self.watched_since: list[str] = []

    async def metadata_pages(self, _kind: str, _namespace: str | None, _label: str) -> AsyncIterator[Page]:
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        half = len(answer.items) // 2
        yield Page(answer.items[:half], "1", "more")
        yield Page(answer.items[half:], answer.version)

    async def watch_metadata(
        self, _kind: str, _namespace: str | None, _label: str, version: str, **_: float
    ) -> AsyncIterator[WatchEvent]:
        self.watched_since.append(version)
        if not self.watches:
            await asyncio.sleep(3600)
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeApiServer:
    for pause in ("_FIRST_PAUSE", "_NOT_THERE_PAUSE"):
        monkeypatch.setattr(follow, pause, 0.001)
    return FakeApiServer()


async def followed(
    server: FakeApiServer, appeared: Callable[[], None] = lambda: None, rounds: int = 1
) -> tuple[Follower, list[tuple[str, str | None, str | None, bool]]]:
    """What is heard until the server has nothing more to say: name, versions before and after, whether by a list."""
    heard: list[Change] = []
    follower = Follower(server, KIND, None, heard.append, appeared=appeared)  # type: ignore[arg-type]  # a fake
    running = asyncio.create_task(follower.run())
    async with asyncio.timeout(5):
        while server.lists or server.watches or len(server.watched_since) < rounds:
            await asyncio.sleep(0.001)
    running.cancel()
    said = [(it.key.name, it.before and it.before.version, it.after and it.after.version, it.listed) for it in heard]
    return follower, said


async def test_a_list_and_then_a_watch(server: FakeApiServer) -> None:
    server.lists = [Page([at("a", 3), at("b", 5)], "7")]
    server.watches = [
        [
            WatchEvent("MODIFIED", at("a", 8)),
            WatchEvent("ADDED", at("c", 9)),
            bookmark(11),
            WatchEvent("DELETED", at("b", 12)),
        ]
    ]
    follower, said = await followed(server, rounds=2)
    assert said == [
        ("a", None, "3", True),
        ("b", None, "5", True),
        ("a", "3", "8", False),
        ("c", None, "9", False),
        ("b", "5", None, False),
    ]
    assert server.watched_since == ["7", "12"]
    assert {key.name for key in follower.known} == {"a", "c"}
    assert follower.listed.is_set()


GONE = [WatchEvent("ERROR", code=410, message="too old"), RequestRejected(410, "too old")]


@pytest.mark.parametrize("gone", GONE, ids=["as an event", "as the answer"])
async def test_what_happened_in_a_gap_is_found(server: FakeApiServer, gone: WatchEvent | Exception) -> None:
    """The version is too old for the server (410): everything is listed again."""
    server.lists = [Page([at("a", 3), at("b", 4)], "7"), Page([at("a", 9), at("c", 10)], "20")]
    server.watches = [[gone]]
    follower, said = await followed(server, rounds=2)
    assert said[2:] == [("a", "3", "9", True), ("c", None, "10", True), ("b", "4", None, True)]
    assert server.watched_since == ["7", "20"]
    assert follower.repairs == 0, "after 410 nobody knows what the watch would have told"


async def test_a_watch_that_goes_silent_goes_on_where_it_was(server: FakeApiServer) -> None:
    server.lists = [Page([at("a", 3)], "7")]
    server.watches = [[bookmark(9), Unreachable("silent")], [WatchEvent("MODIFIED", at("a", 10))]]
    _, said = await followed(server, rounds=3)
    assert said[1:] == [("a", "3", "10", False)]
    assert server.watched_since == ["7", "9", "10"]


async def test_a_kind_that_is_installed_later(server: FakeApiServer) -> None:
    appeared: list[bool] = []
    missing = RequestRejected(404, "the server could not find the requested resource")
    server.lists = [missing, missing, Page([at("a", 3)], "7")]
    follower, said = await followed(server, lambda: appeared.append(True))
    assert said == [("a", None, "3", True)]
    assert appeared == [True]
    assert follower.listed.is_set()


async def test_what_a_watch_left_out_is_found_later(server: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_LIST_AGAIN_SECONDS", 0.0)
    server.lists = [Page([at("a", 3)], "7"), Page([at("a", 8), at("b", 30)], "30")]
    server.watches = [[bookmark(20)]]
    follower, said = await followed(server, rounds=2)
    assert said[1:] == [("a", "3", "8", True), ("b", None, "30", True)]
    assert follower.repairs == 1, "version 8 was before 20, so the watch should have told of it; 30 came later"
