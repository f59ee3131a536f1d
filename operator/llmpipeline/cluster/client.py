"""Reads and writes of what pipelines are made of.

The official client's dynamic part carries the requests: it loads kubeconfigs and in-cluster tokens and renews them.
Answers are taken as plain dicts, and its discovery is not used: all resources are known.
"""

import asyncio
import json
import math
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
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
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient

from llmpipeline import names
from llmpipeline.cluster import kubeconfig
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.metadata import MEDIA_TYPE, Frames, Metadata, Page, WatchEvent, decode_object, decode_page
from llmpipeline.cluster.paths import collection_of, path_of
from llmpipeline.kuberay.conventions import LABEL_CLUSTER
from llmpipeline.names import Key, Manifest

if TYPE_CHECKING:  # the operator alone counts
    from prometheus_client import Counter

_PAGE: Final = 500
_CONNECT_SECONDS: Final = 5.0
# For a whole request. A webhook that hangs answers after 10 s by default, and at the latest after 30 s.
_REQUEST_SECONDS: Final = 15.0
_CLOSE_SECONDS: Final = 1.0
# A pipeline that is larger is not decoded: `{},{},...` takes 24 times as much memory in Python as in JSON.
LARGEST_PIPELINE: Final = 512 * 1024
_ANSWERS_TO_US: Final = frozenset({400, 401, 403, 404, 409, 410, 413, 415, 422})
# How etcd says it, with status 500.
_TOO_LARGE: Final = "request is too large"
# How server-side apply says that the CRD has no such field, with status 500 (seen on Kubernetes 1.34.1).
_UNKNOWN_FIELD: Final = "failed to create typed patch object"
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
# In JSON they stand in strings alone. JSON itself escapes those below the space.
_NOT_PLAIN: Final = re.compile(r"[^\x00-\x7e]")
_LARGEST_SHORT: Final = 0xFFFF
_USED_ONCE: Final = {"Connection": "close"}
# Each has some 10 KiB, which are decoded at once.
_PAGE_OF_PODS: Final = 100
_METADATA: Final = {"Accept": MEDIA_TYPE.format("PartialObjectMetadata")}
_METADATA_LIST: Final = {"Accept": MEDIA_TYPE.format("PartialObjectMetadataList")}
# etcd starts with it before there is any object.
_OF_NO_OBJECT: Final = "1"


@dataclass(frozen=True, slots=True)
class Credentials:
    """How kopf connects to the API server: address, and client certificate or token."""

    server: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    token: str | None
    insecure: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A pipeline that is there and is not decoded.

    Attributes:
        metadata: What is known of it.
        why: What is wrong with it, as a sentence.
    """

    metadata: Metadata
    why: str


class Cluster:
    """Reads and writes pipelines and RayServices. Every call may raise `RequestRejected` or `Unreachable`."""

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

    async def pipeline(self, key: Key) -> Manifest | Unreadable | None:
        """The pipeline as it is now, None where there is none. Its content may be anything, of any size and depth."""
        path = path_of(names.KIND, key)
        try:
            raw = await self._find_bytes(path, most=LARGEST_PIPELINE)
            document: Manifest | None = None if raw is None else json.loads(raw)
        except _TooLargeError:
            return await self._unreadable(path, f"the resource is larger than {LARGEST_PIPELINE // 1024} KiB")
        except (RecursionError, ValueError):
            return await self._unreadable(path, "the resource is nested too deeply, or is not JSON")
        return document

    async def _unreadable(self, path: str, why: str) -> Unreadable | None:
        raw = await self._find_bytes(path, header_params=_METADATA)
        return None if raw is None else Unreadable(decode_object(raw), why)

    def pipelines(self, namespace: str | None) -> AsyncIterator[Manifest]:
        """The pipelines of a namespace, page by page; None: of all."""
        return self._list(collection_of(names.KIND, namespace))

    async def rayservice(self, key: Key) -> Manifest | None:
        """The RayService as it is now, None where there is none."""
        return await self._find(path_of(names.RAY_SERVICE_KIND, key))

    async def raycluster(self, key: Key) -> Manifest | None:
        """The RayCluster as it is now, None where there is none."""
        return await self._find(path_of(names.RAY_CLUSTER_KIND, key))

    def pods(self, key: Key) -> AsyncIterator[Manifest]:
        """The Pods with the label of a RayCluster, page by page. Whose they are, their owner references say."""
        selector = f"{LABEL_CLUSTER}={key.name}"
        path = collection_of(names.POD_KIND, key.namespace)
        return self._list(path, label_selector=selector, limit=_PAGE_OF_PODS)

    def warnings(self, namespace: str, uid: str) -> AsyncIterator[Manifest]:
        """The warnings among the events of one object, page by page."""
        selector = f"involvedObject.uid={uid},type=Warning"
        return self._list(f"/api/v1/namespaces/{namespace}/events", field_selector=selector)

    async def patch_raycluster(self, key: Key, operations: list[Manifest]) -> None:
        """A JSON patch of a RayCluster. A `test` in it that does not hold is `RequestRejected` with status 422."""
        path = path_of(names.RAY_CLUSTER_KIND, key)
        await self._request("patch", path, body=operations, content_type="application/json-patch+json")

    async def read(self, kind: str, key: Key) -> Manifest | None:
        """An object of a kind that is made for pipelines; None where it, or the kind itself, is not there."""
        return await self._find(path_of(kind, key))

    async def create(self, manifest: Manifest) -> Manifest:
        """Creates what is made for a pipeline; returns it. If there is one of that name: rejected with status 409.

        By server-side apply, so that fields that later manifests leave out go away. What makes it create only is a
        resourceVersion that no object has: an object that is there is a conflict.
        """
        return await self._apply_own(manifest, {"resourceVersion": _OF_NO_OBJECT})

    async def change(self, manifest: Manifest, uid: str) -> Manifest:
        """Server-side apply to the object with this UID; returns it. If there is none: rejected with status 409.

        Fields that others have changed are taken back.
        """
        return await self._apply_own(manifest, {"uid": uid})

    async def _apply_own(self, manifest: Manifest, precondition: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        path = path_of(manifest["kind"], Key(metadata["namespace"], metadata["name"]))
        body = {**manifest, "metadata": {**metadata, **precondition}}
        return await self._request("patch", path, **_apply(body, names.FIELD_MANAGER))

    async def delete(self, kind: str, key: Key, uid: str, resource_version: str) -> None:
        """Deletes an object of a kind that is made for pipelines if it still is the one that was read."""
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        await self._request("delete", path_of(kind, key), body={"preconditions": preconditions})

    async def apply_status(self, key: Key, uid: str, version: str, status: Manifest) -> None:
        """Writes the whole status of a pipeline if it still is in this version; else rejected with status 409."""
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid, "resourceVersion": version},
            "status": status,
        }
        path = path_of(names.KIND, key) + "/status"
        # The answer would be the whole pipeline, which may be anything: metadata is asked for, and not looked at.
        await self._read("patch", path, header_params=_METADATA, **_apply(body, names.STATUS_FIELD_MANAGER))

    async def create_event(self, event: Manifest) -> None:
        """Creates an event."""
        await self._request("post", collection_of("Event", event["metadata"]["namespace"]), body=event)

    async def count_event(self, key: Key, count: int, time: str) -> None:
        """An event has come again."""
        body = {"series": {"count": count, "lastObservedTime": time}}
        await self._request("patch", path_of("Event", key), body=body, content_type="application/merge-patch+json")

    async def check(self, namespace: str | None) -> None:
        """Raises if pipelines cannot be listed here; None: in all namespaces."""
        await self._read("get", collection_of(names.KIND, namespace), limit=1, header_params=_METADATA_LIST)

    async def knows(self, kind: str, namespace: str) -> bool:
        """Whether the cluster has this kind at all. Needs the right to list it."""
        path = collection_of(kind, namespace)
        return await self._find_bytes(path, limit=1, header_params=_METADATA_LIST) is not None

    async def metadata_pages(self, kind: str, namespace: str | None, label: str = "") -> AsyncIterator[Page]:
        """The metadata of all objects of a kind, or of those with a label, page by page."""
        path, following = collection_of(kind, namespace), ""
        while True:
            parameters: dict[str, Any] = {
                "limit": _PAGE,
                "_continue": following or None,
                "label_selector": label or None,
            }
            page = decode_page(await self._read("get", path, header_params=_METADATA_LIST, **parameters))
            yield page
            following = page.following
            if not following:
                return

    async def watch_metadata(
        self, kind: str, namespace: str | None, label: str, version: str, *, seconds: int, silent_seconds: float
    ) -> AsyncGenerator[WatchEvent]:
        """What a watch of the metadata of a kind sends, bookmarks included.

        Args:
            kind: The kind.
            namespace: Where; None: everywhere.
            label: Of objects with this label; empty: of all.
            version: Since when.
            seconds: After this time the API server ends the watch.
            silent_seconds: If nothing comes for so long, the connection is dead: `Unreachable`.
        """
        frames = Frames()
        with _errors(lambda code: self._count("watch", code)):
            response = await self._client.request(
                "get",
                collection_of(kind, namespace),
                label_selector=label or None,
                resource_version=version,
                timeout_seconds=seconds,
                query_params=[("watch", "true"), ("allowWatchBookmarks", "true")],
                header_params=_METADATA,
                _request_timeout=ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silent_seconds),
                serialize=False,
            )
            self._count("watch", response.status)
            try:
                async for chunk in response.content.iter_any():
                    for event in frames.feed(chunk):
                        yield event
            finally:
                response.close()

    async def lease(self, key: Key) -> Manifest | None:
        """A Lease; None if there is none. On a connection that is used once, as no other can be dead without a sign."""
        return await self._find(path_of("Lease", key), header_params=_USED_ONCE)

    async def create_lease(self, key: Key, lease: Manifest) -> None:
        """Creates a Lease."""
        await self._request("post", collection_of("Lease", key.namespace), body=lease, header_params=_USED_ONCE)

    async def replace_lease(self, key: Key, lease: Manifest) -> None:
        """Replaces a Lease if it still has the resourceVersion that is in this one; else rejected with status 409."""
        await self._request("put", path_of("Lease", key), body=lease, header_params=_USED_ONCE)

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
            page = await self._request("get", path, **{"limit": _PAGE, "_continue": token, **parameters})
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
            _TooLargeError: It has more bytes than `most`, which is not 0.
        """
        seconds = _REQUEST_SECONDS if method == "get" else min(_REQUEST_SECONDS, self._seconds_to_write())
        deadline = ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        with _errors(lambda code: self._count(method, code)):
            parameters["_request_timeout"] = deadline
            response = await self._client.request(method, path, serialize=False, **parameters)
            content: bytes = await (_read_up_to(response, most) if most else response.read())
            self._count(method, response.status)
        return content


async def _read_up_to(response: ClientResponse, most: int) -> bytes:
    content = b""
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > most:
            response.close()
            raise _TooLargeError
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


def _apply(body: Manifest, manager: str) -> dict[str, Any]:
    """The parameters of a server-side apply that takes fields from others.

    The API server reads it as YAML, which has no surrogate pairs: JSON's escapes of characters beyond 65,535, such as
    emoji, are an error there. With a charset in the content type the client sends a text as it is.
    """
    text = _NOT_PLAIN.sub(lambda found: _yaml_escape(found[0]), json.dumps(body, ensure_ascii=False))
    content_type = "application/apply-patch+yaml; charset=utf-8"
    return {"body": text, "content_type": content_type, "field_manager": manager, "force_conflicts": True}


def _yaml_escape(character: str) -> str:
    return f"\\U{ord(character):08x}" if ord(character) > _LARGEST_SHORT else f"\\u{ord(character):04x}"


class _TooLargeError(Exception):
    """An answer is larger than what is read of it."""


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


@asynccontextmanager
async def connect(
    seconds_to_write: Callable[[], float] | None = None, *, context: str | None = None
) -> AsyncIterator[Cluster]:
    """A connection to the cluster that is meant.

    Args:
        seconds_to_write: As `Cluster` takes it.
        context: As `kubeconfig.load` takes it.

    Raises:
        Unreachable: There is neither a kubeconfig nor a service account, or it cannot be used.
    """
    configuration = Configuration()
    await kubeconfig.load(configuration, context)
    # Else aiohttp looks for a netrc file before each request, in a thread. Proxies come from the environment too.
    configuration.client_session_kwargs = {"trust_env": any(os.environ.get(name) for name in _PROXIES)}
    try:
        made = ApiClient(configuration)
    except (OSError, ValueError) as error:  # it reads the certificates
        raise Unreachable(f"no cluster to connect to: the certificates cannot be used: {error}") from error
    async with made as client:
        yield Cluster(DynamicClient(client), seconds_to_write)


def _message(error: ApiException) -> str:
    """The sentence in the API server's Status object."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
