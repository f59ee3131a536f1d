"""Copies of requests, whose answers nobody reads."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from llmpipeline_serve import tracing
from llmpipeline_serve.contract.traffic_split import Settings, Shadow
from llmpipeline_serve.traffic_split.forward import PASSED, SHADOW, request_headers, target
from llmpipeline_serve.traffic_split.metrics import Metrics
from llmpipeline_serve.traffic_split.upstream import Upstream


class Shadows:
    """Sends copies in the background: what becomes of them never reaches the request that was copied."""

    def __init__(
        self, upstream: Upstream, metrics: Metrics, *, most_requests: int, most_bytes: int, split: str
    ) -> None:
        """Take a pool of connections of its own, the bounds of `SplitArgs`, and this split's name."""
        self._upstream = upstream
        self._metrics = metrics
        self._most_requests = most_requests
        self._most_bytes = most_bytes
        self._marks = ((PASSED, split.encode()), (SHADOW, b"true"))
        self._running: set[asyncio.Task[None]] = set()
        self._reading = 0

    def copying(
        self, scope: Mapping[str, Any], body: AsyncIterator[bytes] | None, settings: Settings, dice: random.Random
    ) -> AsyncIterator[bytes] | None:
        """The body of a request as it was, which sends the copies off, if there are to be any, once it was all read."""
        apps = [shadow for shadow in settings.shadow if dice.randrange(100) < shadow.percent]
        if not apps or self._skipped(apps):
            return body
        if body is None:
            self._send(scope, None, apps, settings.timeout_seconds)
            return None
        return self._copied(scope, body, apps, settings.timeout_seconds)

    def _skipped(self, apps: Sequence[Shadow]) -> bool:
        """Whether there is no room for copies now: each has a body in memory, while it is read and while it is sent."""
        full = len(self._running) + self._reading >= self._most_requests
        for app in apps if full else ():
            self._metrics.shadow(app.app, "skipped")
        return full

    async def _copied(
        self, scope: Mapping[str, Any], body: AsyncIterator[bytes], apps: Sequence[Shadow], seconds: float
    ) -> AsyncIterator[bytes]:
        kept = bytearray()
        short = True
        self._reading += 1
        try:
            async for chunk in body:
                short = short and len(kept) + len(chunk) <= self._most_bytes
                if short:
                    kept += chunk
                yield chunk
        finally:
            self._reading -= 1
        if short and not self._skipped(apps):
            self._send(scope, bytes(kept), apps, seconds)

    def _send(self, scope: Mapping[str, Any], body: bytes | None, apps: Sequence[Shadow], seconds: float) -> None:
        for app in apps:
            task = asyncio.create_task(self._ask(scope, body, app, seconds))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _ask(self, scope: Mapping[str, Any], body: bytes | None, app: Shadow, seconds: float) -> None:
        with tracing.span("shadow", app.app, client=True):
            await self._send_copy(scope, body, app, seconds)

    async def _send_copy(self, scope: Mapping[str, Any], body: bytes | None, app: Shadow, seconds: float) -> None:
        headers = tracing.onward(request_headers(scope["headers"], *self._marks))
        result = "failed"
        try:
            async with (
                asyncio.timeout(seconds),
                self._upstream.ask(scope["method"], target(scope, app.route), headers, body) as answer,
            ):
                async for _ in answer.content.iter_any():
                    pass
                tracing.mark("http.response.status_code", answer.status)
                result = "failed" if answer.status >= 500 else "answered"
        except Exception as error:
            # Counted and no more: a shadow that is down would fill the log.
            tracing.fail(type(error).__name__)
        finally:
            self._metrics.shadow(app.app, result)
