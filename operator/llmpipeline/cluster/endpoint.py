"""Where a pipeline answers: the Pod behind its serving port, and the one with Ray's dashboard.

They are found through ownership: pipeline, RayService, RayCluster, Pod, each the controller of the next.

For the command line alone, which reads the Secret with Ray's token by the rights of the person who runs it. The
operator reads no Secret.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

from llmpipeline import names
from llmpipeline.cluster.client import Cluster
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.cluster.ownership import belongs_to, own_raycluster, own_rayservice
from llmpipeline.kuberay.conventions import DASHBOARD_PORT, LABEL_SERVES, TOKEN_VARIABLE
from llmpipeline.kuberay.service import SUSPENSION, Observed, observe
from llmpipeline.names import Key, Manifest


class NotThere(Exception):
    """There is no such Pod now. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port of a Pod, and whose it is.

    Attributes:
        raycluster: The RayCluster.
        pod: The Pod.
        uid: The Pod's.
        port: The port.
        pending: The RayCluster that an update brings up; empty if there is none.
        is_serving: The RayCluster takes requests.
        routes: The route of every app, by name.
        token: Ray's; empty if Ray asks for none.
    """

    raycluster: str
    pod: Key
    uid: str
    port: int
    pending: str = ""
    is_serving: bool = True
    routes: dict[str, str] = field(default_factory=dict)
    token: str = field(default="", repr=False)


async def find_endpoint(cluster: Cluster, key: Key, *, dashboard: bool, keep: str = "") -> Endpoint:
    """Ray's dashboard on the head Pod, or else the serving port of a Pod that takes requests.

    Args:
        cluster: The cluster.
        key: The pipeline.
        dashboard: Which of the two.
        keep: The UID of the Pod to prefer, where several take requests.

    Raises:
        NotThere: There is none.
        RequestRejected: The user lacks a right.
        Unreachable: There was no answer.
    """
    service = await _rayservice(cluster, key)
    observed = observe(service)
    name = _chosen(observed, key, dashboard=dashboard)
    raycluster = await own_raycluster(cluster, service, name)
    if not raycluster:
        raise NotThere(f"there is no RayCluster {name} of RayService {key.name}; {_status(key)}")
    pod = await (_head(cluster, raycluster, key) if dashboard else _serving(cluster, raycluster, key, keep))
    metadata = pod["metadata"]
    return Endpoint(
        raycluster=name,
        pod=Key(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        port=DASHBOARD_PORT if dashboard else names.SERVE_PORT,
        pending=observed.pending_cluster if observed.active_cluster else "",
        is_serving=observed.ready and name == observed.active_cluster,
        routes=observed.routes,
        token=await _token(cluster, pod) if dashboard else "",
    )


async def _rayservice(cluster: Cluster, key: Key) -> Manifest:
    pipeline = await cluster.read(names.KIND, key)
    if not pipeline:
        raise NotThere(await missing(cluster, key))
    service = await own_rayservice(cluster, key, pipeline["metadata"]["uid"])
    if not service:
        raise NotThere(f"pipeline {key.name} has no RayService yet; {_status(key)}")
    return service


async def missing(cluster: Cluster, key: Key) -> str:
    """Why there is no such pipeline, and what to do."""
    try:
        if not await cluster.knows(names.KIND, key.namespace):
            return (
                f"this cluster does not know {names.PLURAL}.{names.GROUP}: the operator is not installed in it; "
                "`llmpipeline doctor` says what else is missing"
            )
    except (RequestRejected, Unreachable):  # it needs a right that was not needed so far
        pass
    message = f"there is no pipeline {key.name} in namespace {key.namespace}"
    elsewhere = await _namespaces_with(cluster, key.name)
    return f"{message}; there is one in {elsewhere}: name it with -n" if elsewhere else message


async def _namespaces_with(cluster: Cluster, name: str) -> str:
    """Where else there is a pipeline of this name, as far as the user may see."""
    try:
        path = f"/apis/{names.API_VERSION}/{names.PLURAL}"
        found = [it async for it in cluster.items(path, field_selector=f"metadata.name={name}")]
    except (RequestRejected, Unreachable):
        return ""
    return ", ".join(f"namespace {it['metadata']['namespace']}" for it in found)


def _chosen(observed: Observed, key: Key, *, dashboard: bool) -> str:
    """The RayCluster to go to: the one that serves.

    Ray's dashboard says most while an app does not start, so for it a first cluster that comes up will do.
    """
    if observed.reason in SUSPENSION:
        raise NotThere(f"pipeline {key.name} is suspended; set spec.suspend to false")
    if dashboard and (name := observed.active_cluster or observed.pending_cluster):
        return name
    if not observed.active_cluster or not observed.ready:
        raise NotThere(f"pipeline {key.name} takes no requests yet; {_status(key)}")
    return observed.active_cluster


async def _head(cluster: Cluster, raycluster: Manifest, key: Key) -> Manifest:
    of = f"RayCluster {raycluster['metadata']['name']}"
    name = str(((raycluster.get("status") or {}).get("head") or {}).get("podName", ""))
    if not names.is_object_name(name):
        raise NotThere(f"{of} has no head Pod yet; {_status(key)}")
    pod = await cluster.read(names.POD_KIND, Key(key.namespace, name))
    if not pod or not belongs_to(pod, raycluster["metadata"]["uid"]):
        raise NotThere(f"the head Pod {name} of {of} is gone; {_status(key)}")
    if not _runs(pod):
        raise NotThere(f"the head Pod {name} of {of} is not running; {_status(key)}")
    return pod


async def _serving(cluster: Cluster, raycluster: Manifest, key: Key, keep: str) -> Manifest:
    """One of the Pods that the Service `NAME-serve-svc` selects."""
    chosen: Manifest | None = None
    metadata = raycluster["metadata"]
    async for pod in cluster.pods(Key(metadata["namespace"], metadata["name"])):
        if not belongs_to(pod, metadata["uid"]) or not _takes_requests(pod):
            continue
        if pod["metadata"]["uid"] == keep:
            return pod
        chosen = chosen or pod
    if not chosen:
        raise NotThere(f"no Pod of RayCluster {metadata['name']} takes requests; {_status(key)}")
    return chosen


def _runs(pod: Manifest) -> bool:
    return _status_of(pod).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")


def _takes_requests(pod: Manifest) -> bool:
    conditions = _status_of(pod).get("conditions") or ()
    is_ready = any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)
    return _runs(pod) and is_ready and (pod["metadata"].get("labels") or {}).get(LABEL_SERVES) == "true"


def _status_of(pod: Manifest) -> dict[str, Any]:
    return pod.get("status") or {}


async def _token(cluster: Cluster, pod: Manifest) -> str:
    """Ray's token, from the Secret that KubeRay gave the head Pod; empty if Ray asks for none.

    Its name is that of the RayCluster, which KubeRay shortens if it is long: the Pod says it. A Pod that names another
    Secret has the value anyway, so it learns nothing when that is sent to it.
    """
    variables = pod["spec"]["containers"][0].get("env") or ()
    given: Manifest = next((it for it in variables if it["name"] == TOKEN_VARIABLE), {})
    reference = (given.get("valueFrom") or {}).get("secretKeyRef")
    if not reference:
        return str(given.get("value", ""))
    name, key = str(reference["name"]), str(reference["key"])
    secret = await _secret(cluster, Key(pod["metadata"]["namespace"], name))
    if not secret or key not in (secret.get("data") or {}):
        raise NotThere(f"there is no Secret {name} with the key {key}, which holds Ray's token")
    return base64.b64decode(secret["data"][key]).decode().strip()


async def _secret(cluster: Cluster, key: Key) -> Manifest | None:
    if not names.is_object_name(key.name):
        return None
    return await cluster.find(f"/api/v1/namespaces/{key.namespace}/secrets/{key.name}")


def _status(key: Key) -> str:
    return f"`llmpipeline status {key.name} -n {key.namespace}` says why"
