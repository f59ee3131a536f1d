"""The `trafficSplit` app. A Serve config names it as `import_path: llmpipeline_serve.traffic_split.app:build`.

A request is passed on over HTTP, through Serve's own port on this node: that way it meets the variant as any client
does, whatever the variant is made of, and Serve picks the replica.
"""

import random
from http import HTTPStatus
from typing import Any

from ray import serve
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import Response

from llmpipeline_serve.contract.traffic_split import Settings, SplitArgs
from llmpipeline_serve.errors import ApiError
from llmpipeline_serve.responses import error_response
from llmpipeline_serve.traffic_split.choose import Chooser
from llmpipeline_serve.traffic_split.forward import PASSED, has_body
from llmpipeline_serve.traffic_split.metrics import Metrics
from llmpipeline_serve.traffic_split.relay import Relay
from llmpipeline_serve.traffic_split.shadow import Shadows
from llmpipeline_serve.traffic_split.upstream import Upstream

_LOOP = ApiError(
    HTTPStatus.LOOP_DETECTED,
    "loop",
    "the request has passed a traffic split already: the app that it was passed to does not run, or sent it back",
)


@serve.deployment(max_ongoing_requests=1000)
class TrafficSplit:
    """Passes each request on to one of the variants. Serve calls `reconfigure` before the first."""

    def __init__(self, args: SplitArgs) -> None:
        self._name = serve.get_replica_context().app_name
        self._dice = random.Random()
        self._metrics = Metrics()
        self._upstream = Upstream(args.port)
        self._shadows = Shadows(
            Upstream(args.port),
            self._metrics,
            most_requests=args.shadow_max_requests,
            most_bytes=args.shadow_max_body_bytes,
            split=self._name,
        )

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new settings for the requests from now on; those in work keep the old."""
        settings = Settings.model_validate(user_config)
        self._settings, self._chooser = settings, Chooser(settings, self._name, self._dice)

    async def __call__(self, request: Request) -> Response:
        """Choose who answers one HTTP request, and pass it on."""
        if PASSED.decode() in request.headers:
            return error_response(_LOOP)
        try:
            variant = self._chooser.choose(request.scope["headers"])
        except ApiError as error:
            return error_response(error)
        body = request.stream() if has_body(request.scope["headers"]) else None
        return Relay(
            self._upstream,
            variant,
            self._shadows.copying(request.scope, body, self._settings, self._dice),
            split=self._name,
            seconds=self._settings.timeout_seconds,
            measured=self._metrics.request(variant.name),
        )


def build(args: SplitArgs) -> Application:
    """Build the app; its settings are in the deployment's user_config."""
    return TrafficSplit.bind(args)  # type: ignore[attr-defined]  # Ray types the decorator as identity
