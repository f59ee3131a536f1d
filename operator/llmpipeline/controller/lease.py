"""Of several operators one works: the one that holds the Lease.

The election is the official client's. What is added here: a request that hangs or fails on the network counts as one
that failed, and does not end the process; and who stops gives the Lease back, so that another need not wait for it to
run out.
"""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiohttp import ClientError
from kubernetes.aio.client import ApiClient, V1Lease, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

logger = logging.getLogger(__name__)

LEASE_NAME: Final = "llmpipeline-operator"
# As client-go's defaults. A holder that cannot renew stops 5 s before another may start.
LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 15, 10, 2
# How often a stand-by looks. It counts from when it saw the last renewal, so every look adds to what a crash costs.
_LOOK_SECONDS: Final = 0.5
_REQUEST_SECONDS: Final = 4.0


class LeaseLostError(Exception):
    """The Lease could not be renewed in time: somebody else may work now."""


async def while_leading(client: ApiClient, namespace: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Waits for the Lease, then works until the work ends or the Lease is lost.

    Args:
        client: The connection.
        namespace: Where the Lease is.
        work: What only one operator may do. It is cancelled when the Lease is lost.

    Raises:
        LeaseLostError: It could not be renewed. The process should end: whatever it still does may be done twice.
    """
    lock = _Lock(LEASE_NAME, namespace, _identity(), client)
    config = Config(lock, LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, _nothing, _nothing)
    election = LeaderElection(config)
    config.retry_period = _LOOK_SECONDS  # set here, for the constructor takes none below a second
    await election.acquire()
    config.retry_period = RETRY_SECONDS
    logger.info("holding the lease %s/%s as %s", namespace, LEASE_NAME, lock.identity)
    working, renewing = asyncio.create_task(work()), asyncio.create_task(election.renew_loop())
    try:
        await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        lost = not working.done()
    finally:
        for task in (working, renewing):
            task.cancel()
        await asyncio.gather(working, renewing, return_exceptions=True)
        await lock.release()
    if lost:
        raise LeaseLostError(f"the lease {namespace}/{LEASE_NAME} could not be renewed in {RENEW_SECONDS} s")
    working.result()


class _Lock(LeaseLock):  # type: ignore[misc]  # the client has no types
    """The client's lock, which fails where the network does rather than raising."""

    async def get(self, name: str, namespace: str) -> Any:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                return await super().get(name, namespace)
        except (ClientError, OSError, TimeoutError) as error:
            return False, ApiException(status=0, reason=f"{type(error).__name__}: {error}")

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        return await self._tried(self._create(name, namespace, election_record))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        return await self._tried(super().update(name, namespace, updated_record))

    async def release(self) -> None:
        """Gives the Lease back where it is still ours."""
        held, record = await self.get(self.name, self.namespace)
        if not held or record.holder_identity != self.identity:
            return
        # The version that was just read goes with it: a Lease that somebody took meanwhile is not touched.
        self.lease_reference.spec.holder_identity = None
        replaced = self.api_instance.replace_namespaced_lease(self.name, self.namespace, self.lease_reference)
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                await replaced
        except (ApiException, ClientError, OSError, TimeoutError) as error:
            logger.warning("the lease was not given back: %s", error)

    async def _create(self, name: str, namespace: str, record: LeaderElectionRecord) -> bool:
        """As the client's own, whose `pretty=True` its own validation refuses (kubernetes 37)."""
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(record))
        try:
            await self.api_instance.create_namespaced_lease(namespace, lease)
        except ApiException as error:
            logger.warning("the lease was not made: %s %s", error.status, error.reason)
            return False
        return True

    @staticmethod
    async def _tried(request: Coroutine[Any, Any, bool]) -> bool:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                return await request
        except (ClientError, OSError, TimeoutError) as error:
            logger.warning("the lease was not renewed: %s: %s", type(error).__name__, error)
            return False


def _identity() -> str:
    """The Pod's name and something new in each start: a restarted container is another holder."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"


async def _nothing() -> None:
    pass
