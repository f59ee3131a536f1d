"""From what went wrong to the answer that the client gets."""

import logging

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from starlette.responses import JSONResponse, Response

from llmpipeline_serve.errors import ApiError, internal, overloaded, timed_out

logger = logging.getLogger("ray.serve")


def translated(error: Exception) -> Exception:
    """What calling another deployment raised: its own error without Ray's wrapping, or that it takes no request now."""
    if isinstance(error, BackPressureError):
        return overloaded("the queue is full; try again later")
    if isinstance(error, RayActorError | DeploymentUnavailableError):
        return overloaded("a replica is being replaced; try again", retry_after_seconds=5)
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, Exception) else error


def explain(error: Exception, timeout_seconds: float) -> ApiError:
    """Any error as the client sees it. What the client cannot fix is logged, and not shown."""
    error = translated(error)
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TimeoutError):
        return timed_out(f"no answer within {timeout_seconds:g} seconds")
    logger.error("request failed", exc_info=error)
    return internal()


def error_response(error: ApiError) -> Response:
    """The error as an answer."""
    return JSONResponse(error.body, error.status, error.headers)
