"""Reads and writes of what pipelines are made of."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.dynamic import DynamicClient

from llmpipeline import names
from llmpipeline.cluster import kubeconfig
from llmpipeline.cluster.api_server import PAGE, ApiServer, TooLargeError, server_side_apply
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.metadata import MEDIA_TYPE, Frames, Metadata, Page, WatchEvent, decode_object, decode_page
from llmpipeline.cluster.paths import collection_of, path_of
from llmpipeline.kuberay.conventions import LABEL_CLUSTER
from llmpipeline.names import Key, Manifest

# A pipeline that is larger is not decoded: `{},{},...` takes 24 times as much memory in Python as in JSON.
LARGEST_PIPELINE: Final = 512 * 1024
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_USED_ONCE: Final = {"Connection": "close"}
# Each has some 10 KiB, which are decoded at once.
_PAGE_OF_PODS: Final = 100
_METADATA: Final = {"Accept": MEDIA_TYPE.format("PartialObjectMetadata")}
_METADATA_LIST: Final = {"Accept": MEDIA_TYPE.format("PartialObjectMetadataList")}
# etcd starts with it before there is any object.
_OF_NO_OBJECT: Final = "1"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A pipeline that is there and is not decoded.

    Attributes:
        metadata: What is known of it.
        why: What is wrong with it, as a sentence.
    """

    metadata: Metadata
    why: str


class Cluster(ApiServer):
    """Reads and writes pipelines and RayServices. Every call may raise `RequestRejected` or `Unreachable`."""

    def __init__(self, client: DynamicClient, seconds_to_write: Callable[[], float] | None = None) -> None:
        """As `ApiServer`, with the locks of what one process does one at a time."""
        super().__init__(client, seconds_to_write)
        # To be held while something huge is written: the API server needs seconds and 150 MB for each, so that a dozen
        # at once miss their deadlines, come back, and keep it busy for ever.
        self.huge_writes = asyncio.Lock()
        # To be held from looking whose turn it is until the change of a class is written for one pipeline.
        self.rollouts = asyncio.Lock()

    async def pipeline(self, key: Key) -> Manifest | Unreadable | None:
        """The pipeline as it is now, None where there is none. Its content may be anything, of any size and depth."""
        path = path_of(names.KIND, key)
        try:
            raw = await self._find_bytes(path, most=LARGEST_PIPELINE)
            document: Manifest | None = None if raw is None else json.loads(raw)
        except TooLargeError:
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

    async def classes(self) -> tuple[Manifest, ...]:
        """All pipeline classes; none where the cluster does not know the kind."""
        try:
            return tuple([item async for item in self._list(collection_of(names.CLASS_KIND, None))])
        except RequestRejected as rejected:
            if rejected.status == 404:
                return ()
            raise

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
        return await self._request("patch", path, **server_side_apply(body, names.FIELD_MANAGER))

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
        await self._read("patch", path, header_params=_METADATA, **server_side_apply(body, names.STATUS_FIELD_MANAGER))

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
                "limit": PAGE,
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
        chunks = self._chunks(
            collection_of(kind, namespace),
            silent_seconds=silent_seconds,
            label_selector=label or None,
            resource_version=version,
            timeout_seconds=seconds,
            query_params=[("watch", "true"), ("allowWatchBookmarks", "true")],
            header_params=_METADATA,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                for event in frames.feed(chunk):
                    yield event

    async def lease(self, key: Key) -> Manifest | None:
        """A Lease; None if there is none. On a connection that is used once, as no other can be dead without a sign."""
        return await self._find(path_of("Lease", key), header_params=_USED_ONCE)

    async def create_lease(self, key: Key, lease: Manifest) -> None:
        """Creates a Lease."""
        await self._request("post", collection_of("Lease", key.namespace), body=lease, header_params=_USED_ONCE)

    async def replace_lease(self, key: Key, lease: Manifest) -> None:
        """Replaces a Lease if it still has the resourceVersion that is in this one; else rejected with status 409."""
        await self._request("put", path_of("Lease", key), body=lease, header_params=_USED_ONCE)


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
