"""The errors that an app answers with. Each says who has to change what."""

from http import HTTPStatus
from typing import Any


class ApiError(Exception):
    """An answer that is not the one asked for, as `{"error": {"type", "message", "field"}}`."""

    def __init__(
        self, status: int, kind: str, message: str, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Take what the client gets.

        Args:
            status: The HTTP status code.
            kind: The error's type, for programs: it is a promise and never renamed.
            message: What is wrong and what to do, for people. Never holds the text of a request.
            field: The part of the request that is at fault, like `messages.0.content`; None where none is.
            headers: More headers of the answer.
        """
        # All go to Exception too: that is what crosses from one deployment to another.
        super().__init__(status, kind, message, field, headers)
        self.status = status
        self.kind = kind
        self.message = message
        self.field = field
        self.headers = headers or {}

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {"error": {"type": self.kind, "message": self.message, "field": self.field}}


def invalid(message: str, at: str | None = None) -> ApiError:
    """The request is wrong; the same request will be wrong again."""
    return ApiError(HTTPStatus.BAD_REQUEST, "invalid_request", message, at)


def too_large(message: str) -> ApiError:
    """The request's body is too long."""
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", message)


def overloaded(message: str, retry_after_seconds: int = 1) -> ApiError:
    """There is no room for the request now; the same request may succeed later."""
    headers = {"Retry-After": str(retry_after_seconds)}
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", message, headers=headers)


def timed_out(message: str, at: str | None = None) -> ApiError:
    """The answer took too long."""
    return ApiError(HTTPStatus.GATEWAY_TIMEOUT, "timeout", message, at)


def failed_upstream(message: str, at: str | None = None) -> ApiError:
    """Something that this app depends on failed."""
    return ApiError(HTTPStatus.BAD_GATEWAY, "upstream_failed", message, at)


def internal() -> ApiError:
    """A fault of the app or of the model. The cause is in the log and not in the answer."""
    message = "the app failed; its log has the cause, under the request id that the X-Request-ID header names"
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", message)
