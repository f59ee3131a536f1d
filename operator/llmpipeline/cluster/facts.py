"""Reads of a cluster what `doctor` looks at. What may not be read becomes a value, not an error."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar

from llmpipeline import names
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.doctor.gpu_types import Known, known
from llmpipeline.doctor.nodes import Claim, Node, claim, node
from llmpipeline.doctor.types import ClusterFacts, Unread
from llmpipeline.kuberay import release
from llmpipeline.names import Manifest
from llmpipeline.rights import READ_CLASSES, RIGHTS, Right

T = TypeVar("T")

# A cluster that is there answers at once; the client itself would wait for five minutes.
_FIRST_ANSWER_SECONDS: Final = 10
_REVIEWS_AT_ONCE: Final = 8

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_GATEWAY: Final = "gateway.networking.k8s.io/v1"
_MONITORING: Final = "monitoring.coreos.com/v1"


async def read_facts(cluster: Cluster, namespace: str | None, user: str | None) -> ClusterFacts:
    """Reads everything at once, after a first answer.

    Args:
        cluster: Where to read.
        namespace: Where the rights are asked for; None: everywhere.
        user: Whose rights are asked for; None: our own.

    Raises:
        RequestRejected: The API server does not know who we are.
        OSError: It cannot be reached, or not in time.
    """
    async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
        version = await _attempt(_version(cluster))
    (ours, ray, operators), (nodes, claims, classes), (gateways, monitors, missing) = await asyncio.gather(
        asyncio.gather(
            _attempt(_crd(cluster, f"{names.PLURAL}.{names.GROUP}")),
            _attempt(_crd(cluster, f"{names.RAY_SERVICE_PLURAL}.{names.RAY_GROUP}")),
            _attempt(_kuberay_operators(cluster)),
        ),
        _gpus(cluster),
        asyncio.gather(
            _attempt(_gateway_classes(cluster)),
            _attempt(_knows(cluster, _MONITORING, "podmonitors")),
            _attempt(_missing_rights(cluster, namespace, user)),
        ),
    )
    return ClusterFacts(
        version, ours, ray, operators, nodes, claims, gateways, monitors, missing, namespace, user, classes
    )


async def _attempt(reading: Awaitable[T]) -> T | Unread:
    try:
        return await reading
    except RequestRejected as rejected:
        if rejected.status == 401:
            raise
        return Unread(rejected.message)


async def _version(cluster: Cluster) -> str:
    return str((await cluster.get("/version"))["gitVersion"])


async def _crd(cluster: Cluster, name: str) -> Manifest | None:
    return await cluster.find(f"{_CRDS}/{name}")


async def _kuberay_operators(cluster: Cluster) -> Sequence[Manifest]:
    return [item async for item in cluster.items("/apis/apps/v1/deployments", label_selector=release.SELECTOR)]


async def _gpus(
    cluster: Cluster,
) -> tuple[Sequence[Node] | Unread, Sequence[Claim] | Unread, Sequence[Manifest] | Unread]:
    """The nodes, what Pods take of their GPUs, and the classes, which say what else is a GPU.

    A cluster has many Pods, so they are read only if it has GPUs.
    """
    classes = await _attempt(cluster.classes())
    types = known(() if isinstance(classes, Unread) else classes)
    nodes = await _attempt(_nodes(cluster, types))
    if isinstance(nodes, Unread) or not any(item.gpus for item in nodes):
        return nodes, (), classes
    return nodes, await _attempt(_claims(cluster, types)), classes


async def _nodes(cluster: Cluster, types: Sequence[Known]) -> Sequence[Node]:
    return [node(item, types) async for item in cluster.items("/api/v1/nodes")]


async def _claims(cluster: Cluster, types: Sequence[Known]) -> Sequence[Claim]:
    selector = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
    found = [claim(item, types) async for item in cluster.items("/api/v1/pods", field_selector=selector)]
    return [item for item in found if item.gpus]


async def _gateway_classes(cluster: Cluster) -> Sequence[str] | None:
    if not await _knows(cluster, _GATEWAY, "gatewayclasses"):
        return None
    return [item["metadata"]["name"] async for item in cluster.items(f"/apis/{_GATEWAY}/gatewayclasses")]


async def _knows(cluster: Cluster, group_version: str, plural: str) -> bool:
    """By discovery, which everybody may read, where CRDs are for administrators."""
    found = await cluster.find(f"/apis/{group_version}")
    return found is not None and any(item["name"] == plural for item in found["resources"])


async def _missing_rights(cluster: Cluster, namespace: str | None, user: str | None) -> Sequence[tuple[Right, str]]:
    asked = [(right, verb) for right in RIGHTS for verb in right.verbs]
    at_once = asyncio.Semaphore(_REVIEWS_AT_ONCE)

    async def granted(right: Right, verb: str) -> bool:
        async with at_once:
            return await _may(cluster, _attributes(right, verb, namespace), user)

    answers = await asyncio.gather(*(granted(right, verb) for right, verb in asked))
    return [pair for pair, allowed in zip(asked, answers, strict=True) if not allowed]


def _attributes(right: Right, verb: str, namespace: str | None) -> dict[str, str]:
    resource, _, subresource = right.resource.partition("/")
    return {
        # A review of a namespace would count its RoleBindings, which grant nothing that is cluster-scoped.
        "namespace": "" if right in READ_CLASSES else namespace or "",
        "verb": verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
    }


async def _may(cluster: Cluster, attributes: dict[str, str], user: str | None) -> bool:
    kind = "SubjectAccessReview" if user else "SelfSubjectAccessReview"
    spec: Manifest = {"resourceAttributes": attributes}
    if user:
        spec |= {"user": user, "groups": _groups(user)}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": spec}
    answer = await cluster.post(f"/apis/authorization.k8s.io/v1/{kind.lower()}s", body)
    return bool(answer["status"]["allowed"])


def _groups(user: str) -> list[str]:
    """The groups that the API server itself puts a user in: a review knows of none that it is not told."""
    parts = user.split(":")
    if parts[:2] != ["system", "serviceaccount"] or len(parts) != 4:
        return ["system:authenticated"]
    return ["system:serviceaccounts", f"system:serviceaccounts:{parts[2]}", "system:authenticated"]
