"""The life of the process: kopf runs it, one of several works, and the kubelet asks how it does.

kopf gives signals, startup and the loop of the process. Its watches deliver whole objects only, as JSON, so that one
object could end them; the watches are ours (`cluster/follow.py`, docs/adr/0021).
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import kopf

from llmpipeline.cluster.client import Cluster, connect
from llmpipeline.cluster.lease import Lease, while_leading
from llmpipeline.controller.controller import Controller
from llmpipeline.controller.health import Health
from llmpipeline.render.platform import Platform

logger = logging.getLogger(__name__)


async def run_operator(
    namespaces: Sequence[str], platform: Platform, *, lease_namespace: str = "", health_port: int = 0
) -> None:
    """Runs until SIGTERM or SIGINT.

    Args:
        namespaces: Which to watch; none given: all.
        platform: What administrators decided for all pipelines.
        lease_namespace: Where the Lease is that lets one of several operators work; empty: this one works at once.
        health_port: Where /healthz, /readyz and /metrics are answered; 0: nowhere.

    Raises:
        RequestRejected: The API server does not know pipelines or does not let us list them.
        LeaseLostError: Another operator may work now.
        Unreachable: There is no cluster, or it does not answer.
        OSError: The health port is taken.
    """
    lease = Lease(lease_namespace) if lease_namespace else None
    async with connect(lease.seconds_to_write if lease else None) as cluster:
        controller = Controller(cluster, tuple(namespaces), platform)
        cluster.count_requests(controller.metrics.requests)
        health = Health(lambda: controller.is_stuck, controller.metrics)
        async with health.served(health_port):
            await controller.check()
            health.connected = True
            await _run(_led(lease, controller) if lease else _work(controller), cluster)


async def _led(lease: Lease, controller: Controller) -> None:
    async with connect() as apart:  # a connection of its own: no other request can hold up a renewal
        await while_leading(lease, apart, lambda: _work(controller))


async def _work(controller: Controller) -> None:
    controller.metrics.leading.set(1)
    logger.info("operator ready")
    await controller.run()


async def _run(work: Coroutine[Any, Any, None], cluster: Cluster) -> None:
    """Has kopf run the process: it returns at a signal. If the work ends, so does the process, and is started again."""
    working = asyncio.create_task(work)
    process = asyncio.create_task(
        kopf.operator(registry=_registry(cluster, working), settings=_settings(), standalone=True, clusterwide=True)
    )
    try:
        await asyncio.wait({working, process}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(working)
        await _end(process)
    for task in (working, process):
        if not task.cancelled():
            task.result()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # kopf would watch namespaces and CRDs, for which the chart grants no permission.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    return settings


def _registry(cluster: Cluster, working: asyncio.Task[None]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def _login(**_: Any) -> kopf.ConnectionInfo:
        given = await cluster.credentials()
        return kopf.ConnectionInfo(
            server=given.server,
            ca_path=given.ca_file,
            certificate_path=given.certificate_file,
            private_key_path=given.key_file,
            scheme="Bearer" if given.token else None,
            token=given.token,
            insecure=given.insecure,
        )

    @kopf.on.cleanup(registry=registry)
    async def _cleanup(**_: Any) -> None:
        await _end(working)  # kopf waits 5 s for tasks that began after it

    return registry
