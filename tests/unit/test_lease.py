"""The rules of the election, with a clock of our own and a fake of the API server's Lease."""

import copy

import pytest

from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.lease import LEASE_SECONDS, RENEW_SECONDS, Lease
from llmpipeline.names import Key, Manifest


class FakeCluster:
    """One Lease, with resourceVersions as an API server has them; it may be down."""

    def __init__(self) -> None:
        self.stored: Manifest | None = None
        self.down = False

    async def lease(self, _key: Key) -> Manifest | None:
        self._answer()
        return copy.deepcopy(self.stored)

    async def create_lease(self, _key: Key, lease: Manifest) -> None:
        self._answer()
        if self.stored:
            raise RequestRejected(409, "exists")
        self._store(lease, 1)

    async def replace_lease(self, _key: Key, lease: Manifest) -> None:
        self._answer()
        assert self.stored
        version = self.stored["metadata"]["resourceVersion"]
        if lease["metadata"]["resourceVersion"] != version:
            raise RequestRejected(409, "changed")
        self._store(lease, int(version) + 1)

    def _answer(self) -> None:
        if self.down:
            raise Unreachable("down")

    def _store(self, lease: Manifest, version: int) -> None:
        self.stored = {**copy.deepcopy(lease), "metadata": {**lease["metadata"], "resourceVersion": str(version)}}

    @property
    def holder(self) -> str:
        return str(self.stored["spec"]["holderIdentity"]) if self.stored else ""


class Clock:
    """A monotonic clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Election:
    """Two operators and one Lease."""

    def __init__(self) -> None:
        self.cluster, self.clock = FakeCluster(), Clock()
        self.one, self.other = Lease("ns", self.clock), Lease("ns", self.clock)

    async def take(self, lease: Lease) -> bool:
        return await lease.take(self.cluster)  # type: ignore[arg-type]  # a fake

    def passes(self, seconds: float) -> None:
        self.clock.now += seconds


@pytest.fixture
def election() -> Election:
    return Election()


async def test_the_first_takes_it_and_the_other_waits(election: Election) -> None:
    assert await election.take(election.one)
    assert not await election.take(election.other)
    assert election.cluster.holder == election.one.identity


async def test_who_renews_keeps_it(election: Election) -> None:
    for _ in range(20):
        assert await election.take(election.one)
        assert not await election.take(election.other)
        election.passes(LEASE_SECONDS - 1)


async def test_one_that_is_not_renewed_is_taken_when_it_has_run_out(election: Election) -> None:
    assert await election.take(election.one)
    assert not await election.take(election.other)
    election.passes(LEASE_SECONDS - 0.1)
    assert not await election.take(election.other)
    election.passes(0.2)
    assert await election.take(election.other)
    assert election.cluster.stored
    assert election.cluster.stored["spec"]["leaseTransitions"] == 1
    assert not await election.take(election.one)


async def test_a_new_one_waits_a_whole_lease_whatever_its_times_say(election: Election) -> None:
    """The times in it are another machine's: an hour before, or an hour after, they decide nothing."""
    assert await election.take(election.one)
    assert election.cluster.stored
    for written in ("1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
        election.cluster.stored["spec"]["renewTime"] = written
        fresh = Lease("ns", election.clock)
        assert not await election.take(fresh)
        election.passes(LEASE_SECONDS - 1)
        assert not await election.take(fresh)


async def test_of_two_that_take_it_at_once_one_does(election: Election) -> None:
    await election.take(election.one)
    await election.take(election.other)
    election.passes(LEASE_SECONDS + 1)
    read = election.cluster.lease

    async def read_while_another_writes(key: Key) -> Manifest | None:
        found = await read(key)
        election.cluster.lease = read  # type: ignore[method-assign]
        assert await election.take(election.one)
        return found

    election.cluster.lease = read_while_another_writes  # type: ignore[method-assign]
    assert not await election.take(election.other)
    assert election.cluster.holder == election.one.identity


async def test_without_a_renewal_nothing_is_written(election: Election) -> None:
    with pytest.raises(Unreachable):
        election.one.seconds_to_write()
    await election.take(election.one)
    assert election.one.seconds_to_write() == LEASE_SECONDS
    election.cluster.down = True
    election.passes(RENEW_SECONDS - 1)
    assert not await election.take(election.one)
    assert election.one.seconds_to_write() == LEASE_SECONDS - RENEW_SECONDS + 1, "a write ends before another may begin"
    election.passes(2)
    assert election.one.is_too_old
    with pytest.raises(Unreachable, match="was not renewed in 10 s"):
        election.one.seconds_to_write()


async def test_who_stops_gives_it_back(election: Election) -> None:
    await election.take(election.one)
    assert not await election.take(election.other)
    await election.one.release(election.cluster)  # type: ignore[arg-type]
    assert election.one.is_too_old
    assert await election.take(election.other)
    await election.one.release(election.cluster)  # type: ignore[arg-type]
    assert election.cluster.holder == election.other.identity, "what is another's is not given back"
