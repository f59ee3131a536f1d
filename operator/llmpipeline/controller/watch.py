"""kopf: the watches, and the life of the process. Nothing else knows it.

Only low-level event handlers: those that detect changes would write an annotation and a finalizer on every resource.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import kopf

from llmpipeline import names
from llmpipeline.cluster import Cluster, connect
from llmpipeline.controller.controller import Controller
from llmpipeline.controller.health import Health
from llmpipeline.controller.lease import while_leading

logger = logging.getLogger(__name__)


async def run_operator(namespaces: Sequence[str], *, lease_namespace: str = "", health_port: int = 0) -> None:
    """Runs until SIGTERM or SIGINT.

    Args:
        namespaces: Which to watch; none given: all.
        lease_namespace: Where the Lease is that lets one of several operators work; empty: this one works at once.
        health_port: Where /healthz, /readyz and /metrics are answered; 0: nowhere.

    Raises:
        Rejected: The API server does not know pipelines or does not let us list them.
        LeaseLostError: Another operator may work now.
        OSError: The API server cannot be reached.
    """
    async with connect() as cluster:
        controller = Controller(cluster, tuple(namespaces))
        health = Health(lambda: controller.is_stale, controller.metrics)
        async with health.served(health_port):
            await controller.sweep()  # fails early and clearly where the CRD or the rights are missing
            health.connected = True
            if lease_namespace:
                await while_leading(cluster.client, lease_namespace, lambda: _take_over(cluster, controller))
            else:
                await _work(cluster, controller)


async def _take_over(cluster: Cluster, controller: Controller) -> None:
    await controller.sweep()  # what changed since this one stood by, while another worked
    await _work(cluster, controller)


async def _work(cluster: Cluster, controller: Controller) -> None:
    # kopf ends where it may not read one of several namespaces. Once this one can be read again the sweep sees what no
    # watch tells of, /healthz fails, and the next start watches it.
    namespaces = controller.readable
    controller.metrics.leading.set(1)
    ready = asyncio.Event()
    work = asyncio.create_task(controller.run())
    announce = asyncio.create_task(_announce(ready))
    # Let the workers start: kopf takes tasks that begin after it for its own, and waits 5 s for them at the end.
    await asyncio.sleep(0)
    watch = asyncio.create_task(
        kopf.operator(
            registry=_registry(cluster, controller),
            settings=_settings(everywhere=not namespaces),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=ready,
        )
    )
    try:
        # Without workers the process would look alive and do nothing: it ends instead, and is started again.
        ended, _ = await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (announce, watch, work):
            task.cancel()
        await asyncio.gather(announce, watch, work, return_exceptions=True)
    for task in ended:
        task.result()


async def _announce(ready: asyncio.Event) -> None:
    await ready.wait()
    logger.info("operator ready")


class _NoDiffs(kopf.DiffBaseStorage):
    """Nothing here looks at differences, and the copies that kopf takes for them cost a tenth of the operator's CPU."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def _settings(*, everywhere: bool) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # kopf would watch namespaces and CRDs. For chosen namespaces the chart grants neither, and kopf asks again for a
    # minute before it begins with what it was given.
    settings.scanning.disabled = not everywhere
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.watching.server_timeout = 300
    # kopf's own worker limit caps its throughput and can deadlock it; the queue bounds the work instead.
    settings.queueing.worker_limit = None
    return settings


def _registry(cluster: Cluster, controller: Controller) -> kopf.OperatorRegistry:
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

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def _pipeline(event: Any, **_: Any) -> None:
        controller.pipeline_changed(event["type"], event["object"])

    @kopf.on.event(
        names.RAY_GROUP,
        names.RAY_VERSION,
        names.RAY_SERVICE_PLURAL,
        labels={names.LABEL_MANAGED_BY: names.MANAGED_BY},
        registry=registry,
    )
    async def _rayservice(event: Any, **_: Any) -> None:
        controller.rayservice_changed(event["type"], event["object"])

    return registry
