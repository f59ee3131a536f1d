"""One request passed on to its variant, and the answer passed back as it comes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from aiohttp import ClientError, ClientResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from llmpipeline_serve import tracing
from llmpipeline_serve.contract.traffic_split import Variant
from llmpipeline_serve.errors import failed_upstream
from llmpipeline_serve.responses import error_response, explain
from llmpipeline_serve.traffic_split.forward import PASSED, REQUEST_ID, VARIANT, answer_headers, request_headers, target
from llmpipeline_serve.traffic_split.metrics import Measured
from llmpipeline_serve.traffic_split.upstream import Upstream

logger = logging.getLogger("ray.serve")


class Relay(Response):
    """The variant's answer to a request, which is asked for when this is sent.

    Serve cancels the sending when the client goes away, and that closes the connection to the variant.
    """

    def __init__(
        self,
        upstream: Upstream,
        variant: Variant,
        body: AsyncIterator[bytes] | None,
        *,
        split: str,
        seconds: float,
        measured: Measured,
    ) -> None:
        """Take all there is to know.

        Args:
            upstream: The way to the variant.
            variant: Who answers.
            body: The request's body as it arrives.
            split: This split's name.
            seconds: Until the last byte of the answer.
            measured: The request's clock.
        """
        super().__init__()
        self._upstream = upstream
        self._variant = variant
        self._body = body
        self._split = split
        self._seconds = seconds
        self._measured = measured
        self._started = False
        self._cut_off = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the variant and send its answer on."""
        with tracing.span("variant", self._variant.name, client=True):
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds), self._ask(scope) as answer:
                await self._pass_back(answer, scope, send)
        except Exception as error:
            if self._cut_off:
                return
            self._measured.failed()
            tracing.fail(type(error).__name__)
            await self._fail(error, scope, receive, send)
        self._measured.over()

    def _ask(self, scope: Scope) -> AbstractAsyncContextManager[ClientResponse]:
        headers = tracing.onward(request_headers(scope["headers"], (PASSED, self._split.encode())))
        body = self._incoming(self._body) if self._body else None
        return self._upstream.ask(scope["method"], target(scope, self._variant.route), headers, body)

    async def _incoming(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in body:
                yield chunk
        except Exception:
            # The client left in the middle of its request: no fault of the variant's, and nobody waits for an answer.
            self._cut_off = True
            raise

    async def _pass_back(self, answer: ClientResponse, scope: Scope, send: Send) -> None:
        self._measured.started(answer.status)
        tracing.mark("http.response.status_code", answer.status)
        request_id = dict(scope["headers"]).get(REQUEST_ID)
        headers = answer_headers(answer.raw_headers, self._variant.name, request_id)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        self._started = True
        over = False
        while not over:
            chunk = await answer.content.readany()
            # Each message costs a trip from the replica to Serve's proxy, so the last chunk is also the end.
            over = answer.content.at_eof()
            await send({"type": "http.response.body", "body": chunk, "more_body": not over})

    async def _fail(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the error; if a part is sent already, end it short: Serve then closes the connection."""
        if self._started:
            logger.warning("variant %s broke off its answer: %r", self._variant.name, error)
            return
        response = error_response(explain(self._told(error), self._seconds))
        response.headers[VARIANT.decode()] = self._variant.name
        await response(scope, receive, send)

    def _told(self, error: Exception) -> Exception:
        if not isinstance(error, ClientError | ConnectionError):
            return error
        logger.warning("variant %s cannot be asked: %r", self._variant.name, error)
        return failed_upstream(f"variant {self._variant.name} cannot be asked: {type(error).__name__}")
