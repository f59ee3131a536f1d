"""What the kubelet and Prometheus ask the operator: /healthz, /readyz and /metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The operator's own metrics."""

    def __init__(self, queue_depth: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.reconciled = Counter(
            "llmpipeline_reconcile", "Reconciliations, by how they ended.", ["result"], registry=self.registry
        )
        self.seconds = Histogram(
            "llmpipeline_reconcile_seconds", "Time of one reconciliation.", buckets=_SECONDS, registry=self.registry
        )
        self.leading = Gauge(
            "llmpipeline_leading", "1 where this operator works, 0 where it stands by.", registry=self.registry
        )
        depth = Gauge("llmpipeline_queue_depth", "Pipelines that wait for a worker.", registry=self.registry)
        depth.set_function(queue_depth)


class Health:
    """What is known of the process's own state."""

    def __init__(self, is_stale: Callable[[], bool], metrics: Metrics) -> None:
        self._is_stale = is_stale
        self._metrics = metrics
        # Reaches the API server; a stand-by is ready too, for it can take over.
        self.connected = False

    @asynccontextmanager
    async def served(self, port: int) -> AsyncIterator[None]:
        """Answers on this port of all interfaces; 0: on none."""
        if not port:
            yield
            return
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_page)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, port=port).start()
            yield
        finally:
            await runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        if self._is_stale():
            return web.Response(status=503, text="a watch delivers nothing any more\n")
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        if not self.connected:
            return web.Response(status=503, text="the API server was not reached yet\n")
        return await self._healthz(request)

    async def _metrics_page(self, _: web.Request) -> web.Response:
        page = generate_latest(self._metrics.registry)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
