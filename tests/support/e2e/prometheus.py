"""A real Prometheus in the cluster, with the scrape configuration that is shipped.

The nodes get the program by `docker cp`: there is no registry to take an image from. Of the image of its Pod, which the
nodes have, nothing runs but its root.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import yaml

from support.cache import AssetsError
from support.control_plane.assets import PROMETHEUS, build_once
from support.e2e.kubectl import Kube, Manifest, until
from support.repository import ROOT

NAME = "e2e-prometheus"
INSTALLED = f"/usr/local/bin/{NAME}"
_PORT = 9090


class ClusterPrometheus:
    """One that runs in the cluster, asked through the API server."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The series of an expression now, each with its value."""
        found = self._get(f"query?query={quote(expression)}")["result"]
        return [(item["metric"], float(item["value"][1])) for item in found]

    def targets(self, job: str) -> list[dict[str, Any]]:
        """What it scrapes for a job, each with its health and labels."""
        return [it for it in self._get("targets?state=active")["activeTargets"] if it["labels"]["job"] == job]

    def _get(self, path: str) -> Any:
        proxy = f"/api/v1/namespaces/{NAME}/pods/{NAME}:{_PORT}/proxy"
        return json.loads(self._kube.kubectl("get", "--raw", f"{proxy}/api/v1/{path}"))["data"]


@contextmanager
def running(kube: Kube, image: str) -> Iterator[ClusterPrometheus]:
    """It scrapes for as long as the block takes.

    Raises:
        AssetsError: The cluster's nodes are no containers of this machine.
    """
    node = kube.list("nodes")[-1]["metadata"]["name"]
    if not shutil.which("docker") or _docker("inspect", "--type", "container", node):
        raise AssetsError(f"the node {node} is not a container here")
    assert not _docker("cp", str(build_once(PROMETHEUS)), f"{node}:{INSTALLED}")
    try:
        kube.apply(*_manifests(node, image))
        found = ClusterPrometheus(kube)
        until(lambda: _answers(kube), 120, "Prometheus to be ready")
        yield found
    finally:
        kube.delete("clusterrole,clusterrolebinding", NAME)
        kube.delete("namespace", NAME)
        _docker("exec", node, "rm", "-f", INSTALLED)


def _answers(kube: Kube) -> bool:
    pod = kube.get("pod", NAME, NAME) or {}
    conditions = pod.get("status", {}).get("conditions", ())
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)


def _docker(*command: str) -> int:
    return subprocess.run(["docker", *command], check=False, capture_output=True, timeout=120).returncode


def _manifests(node: str, image: str) -> list[Manifest]:
    """A namespace, the Pod and what it may read: no more than docs/how-to/monitor.md says."""
    where = {"name": NAME, "namespace": NAME}
    rbac = "rbac.authorization.k8s.io"
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": NAME}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    config = yaml.safe_load((ROOT / "manifests" / "monitoring" / "scrape-config.yaml").read_text())
    config = {"global": {"scrape_interval": "3s", "scrape_timeout": "3s"}, **config}
    files = {"prometheus.yaml": yaml.safe_dump(config)}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME}, "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", **where}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": where, "data": files},
        _pod(where, node, image),
    ]  # fmt: skip


def _pod(where: Manifest, node: str, image: str) -> Manifest:
    arguments = ["--config.file=/etc/prometheus/prometheus.yaml", "--storage.tsdb.path=/data"]
    mounts = [
        {"name": "program", "mountPath": INSTALLED, "readOnly": True},
        {"name": "config", "mountPath": "/etc/prometheus"},
        {"name": "data", "mountPath": "/data"},
    ]
    container = {
        "name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": [INSTALLED, *arguments],
        "volumeMounts": mounts, "ports": [{"containerPort": _PORT}], "securityContext": {"runAsUser": 0},
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": _PORT}, "periodSeconds": 1},
    }  # fmt: skip
    volumes = [
        {"name": "program", "hostPath": {"path": INSTALLED, "type": "File"}},
        {"name": "config", "configMap": {"name": NAME}},
        {"name": "data", "emptyDir": {}},
    ]
    spec = {
        "nodeName": node, "serviceAccountName": NAME, "terminationGracePeriodSeconds": 1, "containers": [container],
        "volumes": volumes,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": where, "spec": spec}
