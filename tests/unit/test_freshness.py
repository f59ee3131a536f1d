"""Whether a watch that tells nothing any more is found out, and a quiet one is not."""

import pytest

from llmpipeline.controller.freshness import STALE_SECONDS, Freshness


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Freshness[str]:
    return Freshness(clock)


def test_a_quiet_watch_is_not_stale(watch: Freshness[str], clock: Clock) -> None:
    watch.told("a", "1")
    for _ in range(5):
        clock.now += 1000
        watch.listed({"a": "1"})
        assert not watch.is_stale


@pytest.mark.parametrize("listed", [{"a": "2"}, {"a": "1", "b": "1"}, {}], ids=["a change", "a new one", "a deletion"])
def test_what_a_list_shows_and_the_watch_never_tells(
    watch: Freshness[str], clock: Clock, listed: dict[str, str]
) -> None:
    watch.told("a", "1")
    watch.listed(listed)
    assert not watch.is_stale, "it may be on its way"
    clock.now += STALE_SECONDS + 1
    assert watch.is_stale
    watch.listed(listed)
    assert watch.is_stale, "a second list does not start the time anew"


def test_what_comes_late_is_no_fault(watch: Freshness[str], clock: Clock) -> None:
    watch.told("a", "1")
    watch.listed({"a": "3"})
    clock.now += STALE_SECONDS - 1
    watch.told("a", "2")
    clock.now += 1000
    assert not watch.is_stale
    watch.listed({})
    watch.told("a", None)
    clock.now += 1000
    assert not watch.is_stale
