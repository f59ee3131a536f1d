"""What the kubelet and Prometheus ask the operator: /healthz, /readyz and /metrics."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from llmpipeline.controller.bounded_server import guarded
from llmpipeline.controller.metrics import Metrics


class Health:
    """What is known of the process's own state."""

    def __init__(self, is_stuck: Callable[[], bool], metrics: Metrics) -> None:
        self._is_stuck = is_stuck
        self._metrics = metrics
        # Reaches the API server; a standby is ready too because it can take over.
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
        assert runner.server
        server = await asyncio.get_running_loop().create_server(guarded(runner.server), port=port)
        try:
            yield
        finally:
            server.close()
            await runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        if self._is_stuck():
            return _answer("a worker does not come back\n", status=503)
        return _answer("ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        if not self.connected:
            return _answer("the API server has not been reached yet\n", status=503)
        return await self._healthz(request)

    async def _metrics_page(self, _: web.Request) -> web.Response:
        page = generate_latest(self._metrics.registry).decode()
        return _answer(page, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def _answer(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """The only answer on its connection, whose time is bounded."""
    plain = {"Content-Type": "text/plain; charset=utf-8"}
    response = web.Response(body=text.encode(), status=status, headers=headers or plain)
    response.force_close()
    return response
