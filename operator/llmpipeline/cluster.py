"""The only file that talks to the API server.

The official client's dynamic part carries the requests: it loads kubeconfigs and in-cluster tokens and renews them.
Answers
are taken as plain dicts, and its discovery is not used: both resources are known.
"""

import json
import os
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException, list_kube_config_contexts, load_config
from kubernetes.aio.dynamic import DynamicClient

from llmpipeline import names

Manifest = dict[str, Any]

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_PAGE: Final = 500
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_ANSWERS_TO_US: Final = frozenset({400, 401, 403, 404, 409, 415, 422})
# How server-side apply says that the CRD has no such field, with status 500 (seen on Kubernetes 1.34.1).
_UNKNOWN_FIELD: Final = "failed to create typed patch object"


_KINDS: Final = {
    names.RAY_SERVICE_KIND: (names.RAY_API_VERSION, names.RAY_SERVICE_PLURAL),
    **{kind: (api_version, plural) for api_version, kind, plural in names.SURROUNDINGS},
}


class Key(NamedTuple):
    """Which pipeline."""

    namespace: str
    name: str


@dataclass
class Rejected(Exception):
    """The API server said no, and will say it again to the same request.

    Attributes:
        status: The HTTP status code.
        message: The API server's own sentence.
    """

    status: int
    message: str

    def __str__(self) -> str:
        return f"{self.message} (HTTP {self.status})"


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the API server is reached, for the watches: address, and files or a token to prove who we are."""

    server: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    token: str | None
    insecure: bool


class Cluster:
    """Reads and writes pipelines and RayServices. Every call may raise `Rejected`, or a connection's error."""

    def __init__(self, client: DynamicClient) -> None:
        self._client = client

    @property
    def client(self) -> ApiClient:
        """The client underneath, for what has an interface of its own: the election."""
        return self._client.client

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

    async def pipeline(self, key: Key) -> Manifest | None:
        """The pipeline as it is now, None where there is none."""
        return await self._find(_path(names.GROUP, names.VERSION, names.PLURAL, key))

    async def rayservice(self, key: Key) -> Manifest | None:
        """The RayService as it is now, None where there is none."""
        return await self._find(_path(names.RAY_GROUP, names.RAY_VERSION, names.RAY_SERVICE_PLURAL, key))

    async def raycluster(self, key: Key) -> Manifest | None:
        """The RayCluster as it is now, None where there is none."""
        return await self._find(_path(names.RAY_GROUP, names.RAY_VERSION, names.RAY_CLUSTER_PLURAL, key))

    async def patch_raycluster(self, key: Key, operations: list[Manifest]) -> None:
        """A JSON patch of a RayCluster. A `test` in it that does not hold is `Rejected` with status 422."""
        path = _path(names.RAY_GROUP, names.RAY_VERSION, names.RAY_CLUSTER_PLURAL, key)
        await self._request("patch", path, body=operations, content_type="application/json-patch+json")

    async def read(self, kind: str, key: Key) -> Manifest | None:
        """An object of a kind that is made for pipelines; None where it, or the kind itself, is not there."""
        return await self._find(_path_of(kind, key))

    async def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Server-side apply of what is made for a pipeline; returns it as it is afterwards.

        Without `force` a field that somebody else owns and that differs is a conflict: `Rejected` with status 409.
        """
        path = _path_of(manifest["kind"], Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
        return await self._apply(path, manifest, names.FIELD_MANAGER, force=force)

    async def delete(self, kind: str, key: Key, uid: str) -> None:
        """Deletes an object of a kind that is made for pipelines; the UID keeps it from a namesake made meanwhile."""
        await self._request("delete", _path_of(kind, key), body={"preconditions": {"uid": uid}})

    async def apply_status(self, key: Key, uid: str, status: Manifest) -> None:
        """Writes the whole status of a pipeline. The UID keeps it from a namesake made meanwhile."""
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": status,
        }
        path = _path(names.GROUP, names.VERSION, names.PLURAL, key) + "/status"
        await self._apply(path, body, names.STATUS_FIELD_MANAGER, force=True)

    def pipelines(self, namespace: str | None = None) -> AsyncIterator[Manifest]:
        """All pipelines, page by page."""
        return self._list(_collection(names.GROUP, names.VERSION, names.PLURAL, namespace))

    def rayservices(self, namespace: str | None = None) -> AsyncIterator[Manifest]:
        """The metadata of all RayServices that belong to a pipeline, page by page."""
        path = _collection(names.RAY_GROUP, names.RAY_VERSION, names.RAY_SERVICE_PLURAL, namespace)
        return self._list(path, label_selector=names.LABEL_PIPELINE, header_params={"Accept": _METADATA_ONLY})

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

    async def _find(self, path: str) -> Manifest | None:
        try:
            return await self._request("get", path)
        except Rejected as rejected:
            if rejected.status == 404:
                return None
            raise

    async def _apply(self, path: str, body: Manifest, manager: str, *, force: bool) -> Manifest:
        return await self._request(
            "patch",
            path,
            body=body,
            field_manager=manager,
            force_conflicts=force or None,
            content_type="application/apply-patch+yaml",
        )

    async def _list(self, path: str, **parameters: Any) -> AsyncIterator[Manifest]:
        token = None
        while True:
            given = {"limit": _PAGE, "_continue": token, **parameters}
            page = await self._request("get", path, **given)
            for item in page["items"] or ():  # an empty list of metadata is null
                yield item
            token = page["metadata"].get("continue")
            if not token:
                return

    async def _request(self, method: str, path: str, **parameters: Any) -> Manifest:
        try:
            response = await self._client.request(method, path, serialize=False, **parameters)
        except ApiException as error:
            message = _message(error)
            if error.status in _ANSWERS_TO_US or message.startswith(_UNKNOWN_FIELD):
                raise Rejected(error.status, message) from error
            raise
        answer: Manifest = json.loads(await response.read())
        return answer


def default_namespace() -> str:
    """The namespace that kubectl would take: that of the kubeconfig's context, or in a Pod its own; else `default`."""
    named = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    if not any(Path(file).exists() for file in named.split(os.pathsep)):
        return _POD_NAMESPACE.read_text() if _POD_NAMESPACE.exists() else "default"
    try:
        _, active = list_kube_config_contexts(config_file=named)
    except (ConfigException, TypeError):  # the client takes an empty file for a dict
        return "default"
    return str(active["context"].get("namespace") or "default")


@asynccontextmanager
async def connect() -> AsyncIterator[Cluster]:
    """A connection by the kubeconfig (KUBECONFIG, ~/.kube/config) or, in a Pod, its service account."""
    configuration = Configuration()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns in every Pod that there is no kubeconfig
        await load_config(client_configuration=configuration)
    async with ApiClient(configuration) as client:
        yield Cluster(DynamicClient(client))


def _collection(group: str, version: str, plural: str, namespace: str | None) -> str:
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{group}/{version}{within}/{plural}"


def _path(group: str, version: str, plural: str, key: Key) -> str:
    return f"{_collection(group, version, plural, key.namespace)}/{key.name}"


def _path_of(kind: str, key: Key) -> str:
    api_version, plural = _KINDS[kind]
    group, version = api_version.split("/")
    return _path(group, version, plural, key)


def _message(error: ApiException) -> str:
    """The sentence in the API server's Status object."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
