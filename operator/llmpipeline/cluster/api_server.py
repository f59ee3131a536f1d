"""Requests to the API server, and what may become of them.

The official client's dynamic part carries them: it loads kubeconfigs and in-cluster tokens and renews them. Answers are
taken as plain dicts, and its discovery is not used: all resources are known.
"""

import asyncio
import json
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    WSServerHandshakeError,
)
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient

from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.names import Manifest

if TYPE_CHECKING:  # the operator alone counts
    from prometheus_client import Counter

PAGE: Final = 500
_CONNECT_SECONDS: Final = 5.0
# For a whole request. A webhook that hangs answers after 10 s by default, and at the latest after 30 s.
_REQUEST_SECONDS: Final = 15.0
_CLOSE_SECONDS: Final = 1.0
_ANSWERS_TO_US: Final = frozenset({400, 401, 403, 404, 409, 410, 413, 415, 422})
# How etcd says it, with status 500.
_TOO_LARGE: Final = "request is too large"
# How server-side apply says that the CRD has no such field, with status 500 (seen on Kubernetes 1.34.1).
_UNKNOWN_FIELD: Final = "failed to create typed patch object"
# In JSON they stand in strings alone. JSON itself escapes those below the space.
_NOT_PLAIN: Final = re.compile(r"[^\x00-\x7e]")
_LARGEST_SHORT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Credentials:
    """How kopf connects to the API server: address, and client certificate or token."""

    server: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    token: str | None
    insecure: bool


class TooLargeError(Exception):
    """An answer is larger than what is read of it."""


class ApiServer:
    """A connection. Every call may raise `RequestRejected` or `Unreachable`."""

    def __init__(self, client: DynamicClient, seconds_to_write: Callable[[], float] | None = None) -> None:
        """Take the connection.

        Args:
            client: The connection.
            seconds_to_write: Asked before each write, how long it may take; raises if this process must not write now,
                because another one may.
        """
        self._client = client
        self._seconds_to_write = seconds_to_write or (lambda: math.inf)
        self._count: Callable[[str, int], None] = lambda _verb, _code: None

    def count_requests(self, counter: "Counter") -> None:
        """Has each request counted, by verb and status code; 0 if there was no answer."""
        self._count = lambda verb, code: counter.labels(verb, str(code)).inc()

    async def credentials(self) -> Credentials:
        """The credentials of this connection, renewed where they were about to expire."""
        given = self._client.configuration
        token = await given.get_api_key_with_prefix("BearerToken")
        return Credentials(
            server=given.host,
            ca_file=given.ssl_ca_cert,
            certificate_file=given.cert_file,
            key_file=given.key_file,
            # The client's scheme is `Bearer` with a kubeconfig and `bearer` in a Pod.
            token=token.split()[-1] if token else None,
            insecure=not given.verify_ssl,
        )

    async def get(self, path: str) -> Manifest:
        """What stands at any path of the API, where no method above reads it."""
        return await self._request("get", path)

    async def find(self, path: str) -> Manifest | None:
        """As `get`; None where there is none."""
        return await self._find(path)

    def items(self, path: str, **selectors: str) -> AsyncIterator[Manifest]:
        """The objects of any collection, page by page; `label_selector` and `field_selector` choose."""
        return self._list(path, **selectors)

    async def post(self, path: str, body: Manifest) -> Manifest:
        """Posts what is answered and not kept, such as a review of rights."""
        return await self._request("post", path, body=body)

    async def websocket(self, path: str, protocol: str) -> ClientWebSocketResponse:
        """A websocket to a path of the API."""
        client = self._client.client
        headers: dict[str, str] = {}
        await client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
        rest = client.rest_client
        rest.pool_manager = rest.pool_manager or rest._create_pool_manager()
        with _errors(lambda _code: None):
            try:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    opened: ClientWebSocketResponse = await rest.pool_manager.ws_connect(
                        client.configuration.host + path,
                        headers=headers,
                        protocols=(protocol,),
                        proxy=rest.proxy,
                        proxy_headers=rest.proxy_headers,
                        max_msg_size=0,
                        timeout=ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                    )
            except WSServerHandshakeError as error:
                # What the API server says in its answer, aiohttp does not read.
                raise ApiException(status=error.status, reason=error.message) from error
        return opened

    async def _find(self, path: str, **parameters: Any) -> Manifest | None:
        raw = await self._find_bytes(path, **parameters)
        return None if raw is None else _decoded(raw)

    async def _find_bytes(self, path: str, **parameters: Any) -> bytes | None:
        try:
            return await self._read("get", path, **parameters)
        except RequestRejected as rejected:
            if rejected.status == 404:
                return None
            raise

    async def _list(self, path: str, **parameters: Any) -> AsyncIterator[Manifest]:
        token = None
        while True:
            page = await self._request("get", path, **{"limit": PAGE, "_continue": token, **parameters})
            for item in page["items"] or ():
                yield item
            token = page["metadata"].get("continue")
            if not token:
                return

    async def _request(self, method: str, path: str, **parameters: Any) -> Manifest:
        return _decoded(await self._read(method, path, **parameters))

    async def _read(self, method: str, path: str, *, most: int = 0, **parameters: Any) -> bytes:
        """The body of the answer.

        Raises:
            TooLargeError: It has more bytes than `most`, which is not 0.
        """
        seconds = _REQUEST_SECONDS if method == "get" else min(_REQUEST_SECONDS, self._seconds_to_write())
        deadline = ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        with _errors(lambda code: self._count(method, code)):
            parameters["_request_timeout"] = deadline
            response = await self._client.request(method, path, serialize=False, **parameters)
            content: bytes = await (_read_up_to(response, most) if most else response.read())
            self._count(method, response.status)
        return content

    async def _chunks(self, path: str, *, silent_seconds: float, **parameters: Any) -> AsyncGenerator[bytes]:
        """What a watch sends, as it comes. If nothing comes for so long, the connection is dead: `Unreachable`."""
        with _errors(lambda code: self._count("watch", code)):
            deadline = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silent_seconds)
            response = await self._client.request("get", path, serialize=False, _request_timeout=deadline, **parameters)
            self._count("watch", response.status)
            try:
                async for chunk in response.content.iter_any():
                    yield chunk
            finally:
                response.close()


async def _read_up_to(response: ClientResponse, most: int) -> bytes:
    content = b""
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > most:
            response.close()
            raise TooLargeError
    return content


def _decoded(raw: bytes) -> Manifest:
    """An answer that should be JSON; what a proxy between may say instead is a fault on the way to the API server."""
    try:
        answer: Manifest = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Unreachable(f"its answer cannot be decoded as JSON: {type(error).__name__}") from error
    if not isinstance(answer, dict):
        raise Unreachable(f"its answer is a {type(answer).__name__} and not an object")
    return answer


def server_side_apply(body: Manifest, manager: str) -> dict[str, Any]:
    """The parameters of a server-side apply that takes fields from others.

    The API server reads it as YAML, which has no surrogate pairs: JSON's escapes of characters beyond 65,535, such as
    emoji, are an error there. With a charset in the content type the client sends a text as it is.
    """
    text = _NOT_PLAIN.sub(lambda found: _yaml_escape(found[0]), json.dumps(body, ensure_ascii=False))
    content_type = "application/apply-patch+yaml; charset=utf-8"
    return {"body": text, "content_type": content_type, "field_manager": manager, "force_conflicts": True}


def _yaml_escape(character: str) -> str:
    return f"\\U{ord(character):08x}" if ord(character) > _LARGEST_SHORT else f"\\u{ord(character):04x}"


@contextmanager
def _errors(count: Callable[[int], None]) -> Iterator[None]:
    """The client's errors as ours, each counted by its status code."""
    try:
        yield
    except ApiException as error:
        count(error.status or 0)
        message = _message(error)
        if error.status in _ANSWERS_TO_US or message.startswith(_UNKNOWN_FIELD) or _TOO_LARGE in message:
            raise RequestRejected(error.status, message) from error
        raise Unreachable(f"{message} (HTTP {error.status})") from error
    except TimeoutError as error:
        count(0)
        raise Unreachable("it does not answer in time") from error
    except (ClientError, OSError) as error:
        count(0)
        raise Unreachable((str(error) or type(error).__name__).splitlines()[0]) from error


def _message(error: ApiException) -> str:
    """The sentence in the API server's Status object."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
