"""A fake KubeRay: it writes RayService status in the shapes of KubeRay 1.7.0, and does nothing else.

Each function is one thing that KubeRay would have seen. What is real here is the API server that checks the shapes;
that KubeRay itself behaves so is for the end-to-end tests to show.

Messages, reasons and what is left out (Go's `omitempty`) follow KubeRay's own `calculateStatus` and
`calculateConditions`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from support.control_plane import Admin, ApiError

Status = dict[str, Any]
# The apps, each with its deployments; where only names are given each app has one deployment of its own name.
Apps = Mapping[str, Sequence[str]] | Sequence[str]

API_VERSION = "ray.io/v1"
PLURAL = "rayservices"


def make_initializing(
    admin: Admin,
    namespace: str,
    name: str,
    apps: Apps | None = None,
    *,
    app_status: str = "DEPLOYING",
    message: str = "",
    deployment_status: str = "UPDATING",
) -> Status:
    """The first cluster comes up; an import or constructor error is an `app_status` DEPLOY_FAILED with its message."""

    def change(service: Status, status: Status) -> None:
        applications = _applications(service, apps, app_status, message, deployment_status)
        status.pop("serviceStatus", None)
        status["activeServiceStatus"] = _side("", {})
        status["pendingServiceStatus"] = _side(_cluster_name(service), applications)
        _set_condition(service, "Ready", "False", "Initializing", "RayService is initializing")
        _set_condition(service, "UpgradeInProgress", "False", "Initializing", "RayService is initializing")

    return _write(admin, namespace, name, change)


def make_ready(admin: Admin, namespace: str, name: str, apps: Apps | None = None, *, endpoints: int = 1) -> Status:
    """One active cluster, every app running; by default the apps of the RayService's own Serve config."""

    def change(service: Status, status: Status) -> None:
        cluster = status.get("activeServiceStatus", {}).get("rayClusterName") or _cluster_name(service)
        status["activeServiceStatus"] = _side(cluster, _applications(service, apps, "RUNNING", "", "HEALTHY"))
        status["pendingServiceStatus"] = _side("", {})
        _set_endpoints(service, endpoints)
        _set_condition(
            service,
            "UpgradeInProgress",
            "False",
            "NoPendingCluster",
            "Active Ray cluster exists and no pending Ray cluster",
        )

    return _write(admin, namespace, name, change)


def break_app(
    admin: Admin,
    namespace: str,
    name: str,
    app: str,
    message: str = "The deployments ['Model'] are UNHEALTHY.",
    *,
    app_status: str = "UNHEALTHY",
    deployment_status: str = "UNHEALTHY",
) -> Status:
    """One app fails. Ready stays as it was: KubeRay looks at endpoints alone."""

    def change(service: Status, status: Status) -> None:
        for side in ("activeServiceStatus", "pendingServiceStatus"):
            found = status.get(side, {}).get("applicationStatuses", {}).get(app)
            if found:
                found |= {"status": app_status, "message": message}
                for deployment in found["serveDeploymentStatuses"].values():
                    deployment |= {"status": deployment_status, "message": message}
                return
        raise LookupError(f"{namespace}/{name} reports no app {app!r}; call make_ready or make_initializing first")

    return _write(admin, namespace, name, change)


def start_upgrade(
    admin: Admin, namespace: str, name: str, apps: Apps | None = None, *, app_status: str = "DEPLOYING"
) -> Status:
    """A second cluster comes up. KubeRay no longer asks the first about its apps, and drops what it knew of them."""

    def change(service: Status, status: Status) -> None:
        active = status.get("activeServiceStatus", {}).get("rayClusterName")
        if not active:
            raise LookupError(f"{namespace}/{name} has no active cluster; call make_ready first")
        status["activeServiceStatus"] = _side(active, {})
        applications = _applications(service, apps, app_status, "", "UPDATING")
        status["pendingServiceStatus"] = _side(_cluster_name(service, active), applications)
        message = "Both active and pending Ray clusters exist"
        _set_condition(service, "UpgradeInProgress", "True", "BothActivePendingClustersExist", message)

    return _write(admin, namespace, name, change)


def finish_upgrade(admin: Admin, namespace: str, name: str, apps: Apps | None = None) -> Status:
    """The pending cluster becomes the active one."""

    def promote(_: Status, status: Status) -> None:
        pending = status.get("pendingServiceStatus", {}).get("rayClusterName")
        if not pending:
            raise LookupError(f"{namespace}/{name} has no pending cluster; call start_upgrade first")
        status["activeServiceStatus"]["rayClusterName"] = pending

    _write(admin, namespace, name, promote)
    return make_ready(admin, namespace, name, apps)


def make_raycluster(admin: Admin, namespace: str, name: str) -> Status:
    """The RayCluster that serves, or else that which comes up, as KubeRay makes it: of the RayService's spec."""
    service = admin.get(API_VERSION, PLURAL, namespace, name)
    sides = [service["status"][side].get("rayClusterName") for side in ("activeServiceStatus", "pendingServiceStatus")]
    cluster = next(name for name in sides if name)
    owner = {"apiVersion": API_VERSION, "kind": "RayService", "name": name, "uid": service["metadata"]["uid"]}
    owners = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    labels = service["metadata"].get("labels", {})
    metadata = {"name": cluster, "namespace": namespace, "ownerReferences": owners, "labels": labels}
    manifest = {"apiVersion": API_VERSION, "kind": "RayCluster", "metadata": metadata}
    return admin.create(API_VERSION, "rayclusters", {**manifest, "spec": service["spec"]["rayClusterConfig"]})


def make_pod(admin: Admin, raycluster: Status, group: str, number: int, status: Status) -> Status:
    """A Pod of a RayCluster, as KubeRay makes it; and what the scheduler and the kubelet would write into its status.

    Args:
        admin: The client.
        raycluster: As read.
        group: The worker group; empty for the head.
        number: Of the Pod in its group.
        status: The Pod's status.
    """
    metadata, node_type = raycluster["metadata"], "worker" if group else "head"
    labels = {**metadata["labels"], "ray.io/cluster": metadata["name"], "ray.io/node-type": node_type}
    owner = {"apiVersion": API_VERSION, "kind": "RayCluster", "name": metadata["name"], "uid": metadata["uid"]}
    described = {
        "name": f"{metadata['name']}-{group or 'head'}-{number}",
        "namespace": metadata["namespace"],
        "labels": {**labels, "ray.io/group": group or "headgroup"},
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    # Nothing runs Pods here, so nothing would confirm a graceful end.
    spec = {"containers": [{"name": f"ray-{node_type}", "image": "x"}], "terminationGracePeriodSeconds": 0}
    admin.create("v1", "pods", {"apiVersion": "v1", "kind": "Pod", "metadata": described, "spec": spec})
    return set_pod_status(admin, metadata["namespace"], described["name"], status)


def run_pods(admin: Admin, raycluster: Status) -> None:
    """The head, and the least of each worker group, all with their containers started."""
    groups = {it["groupName"]: it["minReplicas"] for it in raycluster["spec"]["workerGroupSpecs"]}
    for group, count in {"": 1, **groups}.items():
        container = {"name": f"ray-{'worker' if group else 'head'}", "image": "x", "imageID": "", "ready": True}
        state = {"restartCount": 0, "state": {"running": {"startedAt": _now()}}}
        for number in range(count):
            status = {"phase": "Running", "containerStatuses": [{**container, **state}]}
            make_pod(admin, raycluster, group, number, status)


def set_pod_status(admin: Admin, namespace: str, name: str, status: Status) -> Status:
    """What the scheduler and the kubelet would write."""
    return admin.merge_patch("v1", "pods", namespace, name, {"status": status}, "status")


def lose_endpoints(admin: Admin, namespace: str, name: str) -> Status:
    """No Pod of the active cluster serves any more."""
    return _write(admin, namespace, name, lambda service, _: _set_endpoints(service, 0))


def suspend(admin: Admin, namespace: str, name: str) -> Status:
    """Everything that the RayService owned is deleted, as `spec.suspend` asks."""

    def change(service: Status, status: Status) -> None:
        status["activeServiceStatus"] = _side("", {})
        status["pendingServiceStatus"] = _side("", {})
        status.pop("numServeEndpoints", None)
        _set_condition(service, "Suspended", "True", "SuspendComplete", "All owned resources have been deleted.")
        _set_condition(service, "Ready", "False", "SuspendComplete", "RayService is suspended.")
        _set_condition(service, "UpgradeInProgress", "False", "SuspendComplete", "RayService is suspended.")

    return _write(admin, namespace, name, change)


def time_out(admin: Admin, namespace: str, name: str) -> Status:
    """`ray.io/initializing-timeout` has passed: KubeRay gives up for good."""

    def change(service: Status, status: Status) -> None:
        status["activeServiceStatus"] = _side("", {})
        status["pendingServiceStatus"] = _side("", {})
        message = (
            "RayService failed to become ready within the configured timeout of 30m0s. Time spent initializing: 30m1.5s"
        )
        _set_condition(service, "Ready", "False", "InitializingTimeout", message)

    return _write(admin, namespace, name, change)


def report_freshly(admin: Admin, namespace: str, name: str) -> Status:
    """The status that there is, as if it had been written just now."""
    return _write(admin, namespace, name, lambda _service, _status: None, _now())


def _write(
    admin: Admin, namespace: str, name: str, change: Callable[[Status, Status], None], updated: str = ""
) -> Status:
    """Read, change, write the whole status, as controllers do; again if somebody was faster."""
    while True:
        service = admin.get(API_VERSION, PLURAL, namespace, name)
        status: Status = service.setdefault("status", {})
        status["observedGeneration"] = service["metadata"]["generation"]
        change(service, status)
        # As if it had been quiet for a minute: the operator believes a fresh report only after some seconds.
        status["lastUpdateTime"] = updated or _now(-60)
        try:
            return admin.replace(API_VERSION, PLURAL, service, "status")
        except ApiError as error:
            if error.status != 409:
                raise


def _side(cluster: str, applications: Status) -> Status:
    """One of activeServiceStatus and pendingServiceStatus; of an absent cluster KubeRay still writes empty numbers."""
    cluster_status: Status = {"desiredCPU": "0", "desiredGPU": "0", "desiredMemory": "0", "desiredTPU": "0", "head": {}}
    side: Status = {"rayClusterStatus": cluster_status}
    if cluster:
        side["rayClusterName"] = cluster
        cluster_status["head"] = {
            "podIP": "10.244.1.7",
            "podName": f"{cluster}-head",
            "serviceIP": "10.244.1.7",
            "serviceName": f"{cluster}-head-svc",
        }
        cluster_status["endpoints"] = {"client": "10001", "dashboard": "8265", "gcs-server": "6379", "serve": "8000"}
    if applications:
        side["applicationStatuses"] = applications
    return side


def _applications(service: Status, apps: Apps | None, status: str, message: str, deployment_status: str) -> Status:
    chosen = _apps_of(service) if apps is None else apps
    by_name = dict(chosen) if isinstance(chosen, Mapping) else {app: [app] for app in chosen}

    def entry(state: str) -> Status:
        return {"status": state, "message": message} if message else {"status": state}

    return {
        app: entry(status) | {"serveDeploymentStatuses": {it: entry(deployment_status) for it in deployments}}
        for app, deployments in by_name.items()
    }


def _apps_of(service: Status) -> dict[str, list[str]]:
    config = json.loads(service["spec"].get("serveConfigV2") or "{}")
    return {
        app["name"]: [it["name"] for it in app.get("deployments", [])] or [app["name"]]
        for app in config.get("applications", [])
    }


def _cluster_name(service: Status, other: str = "") -> str:
    """KubeRay appends five random characters; these are as odd to read, but the same in every run."""
    metadata = service["metadata"]
    pending: str = service["status"].get("pendingServiceStatus", {}).get("rayClusterName", "")
    seed = f"{metadata['namespace']}/{metadata['name']}/{other}"
    return pending or f"{metadata['name']}-{hashlib.sha256(seed.encode()).hexdigest()[:5]}"


def _set_endpoints(service: Status, endpoints: int) -> None:
    status = service["status"]
    if endpoints:
        status |= {"numServeEndpoints": endpoints, "serviceStatus": "Running"}
        message = "Number of serve endpoints is greater than 0"
        _set_condition(service, "Ready", "True", "NonZeroServeEndpoints", message)
    else:
        for key in ("numServeEndpoints", "serviceStatus"):
            status.pop(key, None)
        _set_condition(service, "Ready", "False", "ZeroServeEndpoints", "Number of serve endpoints dropped to 0")


def _set_condition(service: Status, kind: str, value: str, reason: str, message: str) -> None:
    conditions: list[Status] = service["status"].setdefault("conditions", [])
    known = next((it for it in conditions if it["type"] == kind), None)
    if known is None:
        known = {"type": kind, "status": "", "lastTransitionTime": ""}
        conditions.append(known)
    if known["status"] != value:
        known["lastTransitionTime"] = _now()
    known |= {
        "status": value,
        "reason": reason,
        "message": message,
        "observedGeneration": service["metadata"]["generation"],
    }


def _now(seconds: int = 0) -> str:
    """The time so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
