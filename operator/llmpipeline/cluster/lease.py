"""Of several operators one works: the one that holds the Lease.

The rules and times are those of client-go's leader election. Time is this machine's monotonic clock: a change of the
clock on the wall neither takes the Lease early nor keeps it. Who stops gives the Lease back, so that another need not
wait for it to run out. Who has not renewed it for a while does not write.

The official client has an election too, which goes by the clock on the wall and leaves the requests' deadlines to its
caller (kubernetes 37.0.2).
"""

import asyncio
import logging
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.names import Key, Manifest

logger = logging.getLogger(__name__)

LEASE_NAME: Final = "llmpipeline-operator"
# As client-go's defaults. A holder that cannot renew stops 5 s before another may start.
LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 15, 10, 2
# How often a standby looks. It counts from when it saw the last renewal, so every look adds to what a crash costs.
_LOOK_SECONDS: Final = 0.5
_REQUEST_SECONDS: Final = 4.0


class LeaseLostError(Exception):
    """The Lease could not be renewed in time: somebody else may work now."""


class Lease:
    """The Lease, and what this process knows of it."""

    def __init__(self, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = Key(namespace, LEASE_NAME)
        self._clock = clock
        # The Pod's name and something new in each start: a restarted container is another holder.
        self.identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        self._renewed = -math.inf
        # Why it could not be taken at the last try; empty if it could be asked for.
        self._failure = ""
        # The version that was seen last, and when it was seen first.
        self._seen: tuple[str, float] = ("", -math.inf)

    def __str__(self) -> str:
        return f"the lease {self._key.namespace}/{self._key.name}"

    @property
    def is_too_old(self) -> bool:
        """Whether it was renewed so long ago that another may soon take it."""
        return self._clock() - self._renewed > RENEW_SECONDS

    def seconds_to_write(self) -> float:
        """How long a write may take that begins now.

        Raises:
            Unreachable: The Lease was not renewed in time; another operator may write.
        """
        if self.is_too_old:
            raise Unreachable(f"{self} was not renewed in {RENEW_SECONDS} s: nothing is written without it")
        return LEASE_SECONDS - (self._clock() - self._renewed)

    async def take(self, cluster: Cluster) -> bool:
        """Takes or renews it. Returns whether this process holds it now."""
        began = self._clock()
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                taken = await self._take(cluster)
        except (RequestRejected, Unreachable, TimeoutError) as error:
            said, self._failure = self._failure, str(error) or "no answer in time"
            if said != self._failure:  # a standby asks twice a second
                logger.warning("%s was not taken: %s", self, self._failure)
            return False
        self._failure = ""
        if taken:
            self._renewed = began
        return taken

    async def _take(self, cluster: Cluster) -> bool:
        found = await cluster.lease(self._key)
        if found is None:
            await cluster.create_lease(self._key, self._record(None))
            return True
        version, now = found["metadata"]["resourceVersion"], self._clock()
        if version != self._seen[0]:
            self._seen = (version, now)
        holder = found.get("spec", {}).get("holderIdentity")
        if holder and holder != self.identity and now - self._seen[1] < LEASE_SECONDS:
            return False
        return await self._replace(cluster, self._record(found))

    async def release(self, cluster: Cluster) -> None:
        """Gives it back if it is still ours."""
        self._renewed = -math.inf
        # Why it could not be taken at the last try; empty if it could be asked for.
        self._failure = ""
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                found = await cluster.lease(self._key)
                if found and found.get("spec", {}).get("holderIdentity") == self.identity:
                    # The version that was read goes with it: a Lease that somebody took meanwhile is not touched.
                    await self._replace(cluster, {**found, "spec": {**found["spec"], "holderIdentity": ""}})
        except (RequestRejected, Unreachable, TimeoutError) as error:
            logger.warning("%s was not released: %s", self, str(error) or "no answer in time")

    async def _replace(self, cluster: Cluster, lease: Manifest) -> bool:
        try:
            await cluster.replace_lease(self._key, lease)
        except RequestRejected as rejected:
            if rejected.status == 409:  # another one was faster
                return False
            raise
        return True

    def _record(self, found: Manifest | None) -> Manifest:
        """The Lease as it is when this process holds it."""
        spec = (found or {}).get("spec", {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_ours = spec.get("holderIdentity") == self.identity
        changes = spec.get("leaseTransitions") or 0
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE_NAME, **(found["metadata"] if found else {})},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": spec.get("acquireTime") if is_ours else now,
                "renewTime": now,
                "leaseTransitions": changes if is_ours or not found else changes + 1,
            },
        }


async def while_leading(lease: Lease, cluster: Cluster, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Waits for the Lease, then works until the work ends or the Lease is lost.

    Args:
        lease: The Lease.
        cluster: A connection of its own.
        work: What only one operator may do. It is cancelled when the Lease is lost.

    Raises:
        LeaseLostError: It could not be renewed. The process should end: whatever it still does may be done twice.
    """
    while not await lease.take(cluster):
        await asyncio.sleep(_LOOK_SECONDS)
    logger.info("holding %s as %s", lease, lease.identity)
    working, renewing = asyncio.create_task(work()), asyncio.create_task(_renew(lease, cluster))
    try:
        await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        lost = not working.done()
    finally:
        for task in (working, renewing):
            task.cancel()
        await asyncio.gather(working, renewing, return_exceptions=True)
        await lease.release(cluster)
    if lost:
        raise LeaseLostError(f"{lease} could not be renewed in {RENEW_SECONDS} s")
    working.result()


async def _renew(lease: Lease, cluster: Cluster) -> None:
    """Returns when it is lost."""
    while not lease.is_too_old:
        await lease.take(cluster)
        await asyncio.sleep(RETRY_SECONDS)
