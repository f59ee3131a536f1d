"""One call of a service over HTTP, with bounds on what comes back: its size once unpacked, its time, and from where."""

import asyncio
import ipaddress
import socket
import zlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from llmpipeline_serve import strict_json, tracing
from llmpipeline_serve.contract.base import MEBIBYTE
from llmpipeline_serve.contract.graph import HttpSettings
from llmpipeline_serve.errors import failed_upstream, timed_out

MOST_BYTES: Final = 4 * MEBIBYTE
_CONNECT_SECONDS: Final = 10
# zlib finds out itself whether it is gzip or deflate.
_GZIP_OR_DEFLATE: Final = 32 + zlib.MAX_WBITS
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
# Cloud providers serve credentials of the node at link-local addresses, and AWS at this one too.
_METADATA_SERVICES: Final = frozenset({ipaddress.ip_address("fd00:ec2::254")})


class Service:
    """Calls services. To be made in the event loop that calls it."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        """Take what finds addresses; None: the system."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_Allowed(resolver or ThreadedResolver())),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            auto_decompress=False,
            headers={"Accept-Encoding": "gzip"},
        )

    async def ask(self, settings: HttpSettings, given: Any, identity: Sequence[tracing.Pair] = ()) -> dict[str, Any]:
        """Return `{"status", "body"}`: the body as JSON if the service says that it is, else as text.

        Args:
            settings: The service's address, the method, and how long the call may take in all.
            given: The body, but of a GET.
            identity: The headers of the client's request that are passed on: its id and its trace.

        Raises:
            ApiError: The service cannot be called, takes too long, or answers with an error or with too much.
        """
        host, seconds = URL(settings.url).host or "", settings.timeout_seconds
        if _is_forbidden(host):
            raise failed_upstream("a node does not call link-local addresses, such as those of metadata services")
        try:
            with tracing.span(settings.method, host, client=True):
                async with asyncio.timeout(seconds), self._request(settings, given, identity) as response:
                    tracing.mark("http.response.status_code", response.status)
                    if not response.ok or response.status >= 300:
                        raise failed_upstream(f"the service answered {response.status}")
                    return {"status": response.status, "body": _content(response, await _read(response))}
        except TimeoutError as error:
            raise timed_out(f"the service gave no answer within {seconds:g} seconds") from error
        except (aiohttp.ClientError, OSError, ValueError, RecursionError, zlib.error) as error:
            raise failed_upstream(f"the service cannot be called: {type(error).__name__}") from error

    def _request(
        self, settings: HttpSettings, given: Any, identity: Sequence[tracing.Pair]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        body = None if settings.method == "GET" else given
        headers = tracing.onward(list(identity))
        return self._session.request(settings.method, settings.url, json=body, headers=headers, allow_redirects=False)


class _Allowed(AbstractResolver):
    """A resolver that leaves out addresses that are not to be called, whatever name leads to them."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [it for it in found if not _is_forbidden(it["host"])]
        if not allowed:
            raise OSError(f"{host} has no address that a node may call")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def _is_forbidden(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_link_local or address in _METADATA_SERVICES


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, unpacked. Reading ends as soon as it is too long."""
    packed = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in _PACKED | {"identity", ""}:
        raise failed_upstream(f"the service answered in the encoding {packed}, which was not asked for")
    unpacker = zlib.decompressobj(_GZIP_OR_DEFLATE) if packed in _PACKED else None
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += unpacker.decompress(chunk, MOST_BYTES + 1 - len(content)) if unpacker else chunk
        if len(content) > MOST_BYTES:
            raise failed_upstream(f"the service answered with more than {MOST_BYTES} bytes")
    if unpacker and not unpacker.eof:
        raise failed_upstream("the service's answer ends in the middle of its compressed data")
    return bytes(content)


def _content(response: aiohttp.ClientResponse, content: bytes) -> Any:
    if response.content_type == "application/json":
        return strict_json.loads(content)
    return content.decode(response.charset or "utf-8", errors="replace")
