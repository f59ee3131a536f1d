"""A pipeline that answers in a cluster: created, asked and put under load from another Pod."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from llmpipeline.render.pods import CONTAINER_SECURITY, POD_SECURITY
from support.e2e.kubectl import LLMP, Kube, Manifest, until
from support.repository import ROOT

IN_CLUSTER = ROOT / "tests" / "e2e" / "in_cluster"
CODE = "own-code"


def code_volume(container: str) -> Manifest:
    """An overlay of a Ray Pod that mounts the user's own code."""
    return {
        "spec": {
            "containers": [{"name": container, "volumeMounts": [{"name": CODE, "mountPath": "/code"}]}],
            "volumes": [{"name": CODE, "configMap": {"name": CODE}}],
        }
    }


def make_code(kube: Kube, namespace: str) -> None:
    """The ConfigMap with what runs in the cluster: the user's code and the load."""
    data = {file.name: file.read_text() for file in IN_CLUSTER.glob("*.py")}
    metadata = {"name": CODE, "namespace": namespace}
    kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def url(name: str, namespace: str) -> str:
    """Where KubeRay's Service of a pipeline answers inside the cluster."""
    return f"http://{name}-serve-svc.{namespace}.svc:8000"


def pipeline(name: str, namespace: str, image: str, apps: list[Manifest], **spec: Any) -> Manifest:
    """One with small Pods, as many fit on two cores, and with the tests' own code in them."""
    return {
        "apiVersion": "serving.llmpipeline.dev/v1alpha1",
        "kind": "LLMPipeline",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "ray": {
                "version": "2.60.0",
                "image": image,
                "env": [{"name": "PYTHONPATH", "value": "/code"}],
            },
            "head": {"resources": {"cpus": "200m", "memory": "2Gi"}, "podTemplate": code_volume("ray-head")},
            "workerDefaults": {"podTemplate": code_volume("ray-worker")},
            "workers": [
                {"name": "cpu", "resources": {"cpus": "500m", "memory": "2Gi"}, "minReplicas": 1, "maxReplicas": 1}
            ],
            "apps": apps,
            "drainSeconds": 10,  # a head that is deleted always takes the whole time
            **spec,
        },
    }


def clusters(kube: Kube, namespace: str, name: str) -> list[str]:
    """The Ray clusters of a pipeline."""
    chosen = kube.list("rayclusters", namespace, f"ray.io/originated-from-cr-name={name}")
    return [item["metadata"]["name"] for item in chosen]


def replicas(kube: Kube, namespace: str, name: str) -> dict[str, list[str]]:
    """The replicas of a pipeline by "app/deployment", as Ray's dashboard has them."""
    (cluster,) = clusters(kube, namespace, name)
    (head,) = kube.list("pods", namespace, f"ray.io/cluster={cluster},ray.io/node-type=head")
    return replicas_at(kube, namespace, head["metadata"]["name"])


def replicas_at(kube: Kube, namespace: str, head: str) -> dict[str, list[str]]:
    """The same, of one head Pod."""
    where = ["-n", namespace, head, "-c", "ray-head"]
    printed = kube.kubectl("exec", *where, "--", "python3", "/code/replicas.py")
    found: dict[str, list[str]] = json.loads(printed.splitlines()[-1])
    return found


def apply_change(kube: Kube, name: str, namespace: str, change: Callable[[Manifest], Any]) -> None:
    """Applies a change of the spec."""
    found = kube.get(LLMP, name, namespace)
    assert found
    document = {key: found[key] for key in ("apiVersion", "kind", "spec")}
    document["metadata"] = {"name": name, "namespace": namespace}
    change(document["spec"])
    kube.apply(document)


def edited(kube: Kube, name: str, namespace: str, change: Callable[[Manifest], Any]) -> str:
    """Applies a change of the spec; returns what the status says that it did."""
    apply_change(kube, name, namespace, change)

    def effect() -> str:
        now = kube.get(LLMP, name, namespace) or {}
        last = now.get("status", {}).get("lastEdit", {})
        return str(last["effect"]) if last.get("observedGeneration") == now["metadata"]["generation"] else ""

    return until(effect, 60, "the edit to be looked at")


def settings_of(spec: Manifest, app: str, kind: str) -> Manifest:
    """The block of an app in a spec."""
    found: Manifest = next(item for item in spec["apps"] if item["name"] == app)[kind]
    return found


def gone(kube: Kube, name: str, namespace: str) -> None:
    """Deletes a pipeline, and waits for its Ray clusters to go."""
    kube.delete(LLMP, name, namespace)
    until(lambda: not clusters(kube, namespace, name), 300, "the Ray cluster to be gone")


def summary(result: Manifest) -> str:
    """The result of a load in a line."""
    names = ("asked", "lost", "longest_gap_seconds", "slowest_seconds", "per_second")
    return ", ".join(f"{name} {result[name]}" for name in names)


def ready(kube: Kube, name: str, namespace: str, seconds: float = 300) -> None:
    kube.wait_for(name, namespace, "Ready", "True", "AppsRunning", seconds)
    kube.wait_for(name, namespace, "Reconciling", "False", "Settled", seconds)


class Client:
    """A Pod from which pipelines are asked, through their Services."""

    name = "client"

    def __init__(self, kube: Kube, namespace: str, image: str) -> None:
        self._kube, self._namespace, self._image = kube, namespace, image

    def start(self) -> None:
        self._pod(self.name, ["sleep", "infinity"])
        self._kube.kubectl(
            "wait", "--for=condition=Ready", f"pod/{self.name}", "-n", self._namespace, "--timeout=120s", seconds=150
        )

    def ask(self, address: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Status and parsed body of one POST; 0 where nothing answered."""
        given = json.dumps([address, body, dict(headers or {})])
        printed = self._kube.kubectl("exec", "-n", self._namespace, self.name, "--", "python3", "/code/ask.py", given)
        status, text = json.loads(printed)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    @contextmanager
    def load(self, address: str, *, clients: int = 8, per_second: float = 150, at_least: int = 0) -> Iterator[Manifest]:
        """Requests for as long as the block takes. The dict that it gives is filled with the result afterwards."""
        name, result = "load", dict[str, Any]()
        self._pod(name, ["python3", "/code/load.py", address, str(clients), str(per_second), str(at_least)])
        until(lambda: "asked" in self._logs(name), 60, "the load to begin")
        try:
            yield result
            self._kube.kubectl("exec", "-n", self._namespace, name, "--", "touch", "/tmp/stop")
            until(lambda: self._phase(name) in ("Succeeded", "Failed"), 300, "the load to end")
            result |= json.loads(self._logs(name).splitlines()[-1])
        finally:
            self._kube.delete("pod", name, self._namespace, "--grace-period=1")

    def wake(self, addresses: list[str]) -> list[tuple[int, float]]:
        """Asks all at once; of each the status and the seconds."""
        given = json.dumps(addresses)
        command = ["exec", "-n", self._namespace, self.name, "--", "python3", "/code/wake.py", given]
        return [(status, seconds) for status, seconds in json.loads(self._kube.kubectl(*command, seconds=150))]

    def start_streams(self, address: str, count: int, seconds: int) -> Callable[[], Manifest]:
        """Opens streams; the result of what is returned is how many came whole, once all have ended."""
        name = "streams"
        self._kube.delete("pod", name, self._namespace, "--grace-period=1")
        self._pod(name, ["python3", "/code/streams.py", address, str(count), str(seconds)])
        until(lambda: "asked" in self._logs(name), 60, "the streams to begin")

        def found() -> Manifest:
            until(lambda: self._phase(name) in ("Succeeded", "Failed"), seconds + 120, "the streams to end")
            result: Manifest = json.loads(self._logs(name).splitlines()[-1])
            return result

        return found

    def _phase(self, name: str) -> str:
        return str((self._kube.get("pod", name, self._namespace) or {"status": {}})["status"].get("phase"))

    def _logs(self, name: str) -> str:
        if self._phase(name) == "Pending":
            return ""
        return self._kube.kubectl("logs", "-n", self._namespace, name)

    def _pod(self, name: str, command: list[str]) -> None:
        container = {
            "name": "main", "image": self._image, "command": command, "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [{"name": CODE, "mountPath": "/code"}],
        }  # fmt: skip
        spec = {
            "restartPolicy": "Never", "securityContext": POD_SECURITY, "containers": [container],
            "automountServiceAccountToken": False,
            "volumes": [{"name": CODE, "configMap": {"name": CODE}}],
        }  # fmt: skip
        metadata = {"name": name, "namespace": self._namespace}
        self._kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def answered(client: Client, address: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
    """The body of the answer. HAProxy in the Pods may learn of a new route a second or two after Ray has called the app
    RUNNING (docs/limits.md)."""

    def ask() -> list[Any]:
        status, found = client.ask(address, body, headers)
        return [found] if status == 200 else []

    return until(ask, 15, f"{address} to answer")[0]
