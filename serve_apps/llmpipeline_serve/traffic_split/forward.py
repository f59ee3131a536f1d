"""A request and its answer in the terms of the next hop. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

Header = tuple[bytes, bytes]

REQUEST_ID = b"x-request-id"
VARIANT = b"x-variant"
# A request that has passed a split carries the split's name, and one that has must not pass another.
PASSED = b"x-llmpipeline-split"
# Marks a copy, whose answer nobody reads. A client's own is dropped.
SHADOW = b"x-llmpipeline-shadow"

# RFC 9110, 7.6.1: these are about one connection. Expect has been answered by the server that we run in. A name in
# `Connection` counts only if it is one of these: a client could else have us drop what a gateway has set, like the
# header that says who the user is.
_HOP_BY_HOP = frozenset({
    b"connection",
    b"expect",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
})  # fmt: skip
# Serve's proxy sets its own in every answer; the variant's would stand beside them.
_SET_BY_SERVE = frozenset({b"date", b"server"})


def target(scope: Mapping[str, Any], route: str) -> str:
    """The path and query of a request at the variant, percent-encoded as the client sent them.

    Args:
        scope: The request's ASGI scope: `path` holds the whole path, `root_path` the split's own route.
        route: The variant's route prefix.
    """
    own = scope["root_path"]
    raw = scope["raw_path"]
    # The client may have percent-encoded a letter of the route itself.
    rest = raw[len(own) :].decode("latin-1") if raw.startswith(own.encode()) else quote(scope["path"][len(own) :])
    path = route.rstrip("/") + rest
    # `OPTIONS *` has no slash, and what follows the port without one would be read as a part of the port.
    path = path if path.startswith("/") else f"/{path}"
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def request_headers(given: Iterable[Header], *more: Header) -> list[tuple[str, str]]:
    """The headers to send on, with `more`."""
    kept = [(name, value) for name, value in _end_to_end(given) if name != SHADOW]
    return [(name.decode("latin-1"), _text(value)) for name, value in [*kept, *more]]


def answer_headers(given: Iterable[Header], variant: str, request_id: bytes | None) -> list[Header]:
    """The headers to answer with: the variant's own, repeated ones too, and the variant's name."""
    kept = [
        (name, value)
        for name, value in _end_to_end(given)
        # Serve's proxy adds the request's id a second time.
        if name not in _SET_BY_SERVE and name != VARIANT and not (name == REQUEST_ID and value == request_id)
    ]
    return [*kept, (VARIANT, variant.encode())]


def has_body(headers: Iterable[Header]) -> bool:
    """Whether a request with these headers has a body (RFC 9112, 6.3)."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0") for name, value in headers
    )


def _text(value: bytes) -> str:
    """A value as aiohttp wants it, which sends UTF-8. What is not UTF-8 is Latin-1, and keeps its letters alone."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _end_to_end(headers: Iterable[Header]) -> list[Header]:
    lower = [(name.lower(), value) for name, value in headers]
    return [(name, value) for name, value in lower if name not in _HOP_BY_HOP]
