"""The way to the other apps: Serve's own HTTP port on this node."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

# Serve closes an idle connection after 90 seconds. Ours end well before, so that no request meets the end of one.
_IDLE_SECONDS = 30
_MOST_HEADER_BYTES = 64 * 1024


class Upstream:
    """A pool of connections that leaves what passes through as it is: no cookies, redirects or decompression."""

    def __init__(self, port: int) -> None:
        """Make the pool; its size is the number of in-flight requests. Needs the running loop."""
        self._origin = f"http://127.0.0.1:{port}"
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            # The whole of a request has a deadline, which its caller holds.
            timeout=ClientTimeout(total=None, sock_connect=10),
            max_line_size=_MOST_HEADER_BYTES,
            max_field_size=_MOST_HEADER_BYTES,
        )

    def ask(
        self, method: str, target: str, headers: Sequence[tuple[str, str]], body: AsyncIterator[bytes] | bytes | None
    ) -> AbstractAsyncContextManager[ClientResponse]:
        """Send a request. Leaving the context before the answer's end closes the connection, which cancels the request.

        Args:
            method: As the client sent it.
            target: Path and query, percent-encoded.
            headers: All there are, Host included.
            body: As a whole or in chunks as they come; None for a request without a body.
        """
        url = URL(self._origin + target, encoded=True)
        return self._session.request(method, url, headers=headers, data=body, allow_redirects=False)
