"""Pods that listen and that connect to each other: what a NetworkPolicy decides about."""

import json
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from llmpipeline.render.pods import CONTAINER_SECURITY, POD_SECURITY
from support.e2e.kubectl import Kube, Manifest, until

# Each listens here: Ray's ports for serving, its dashboard and its own, a Pod's metrics, and an API server's port.
SERVING, DASHBOARD, GCS, METRICS, API_SERVER = 8000, 8265, 6379, 8080, 6443
PORTS = frozenset({SERVING, DASHBOARD, GCS, METRICS, API_SERVER})
# Time for a second try, one second after the first.
TIMEOUT = 3

LISTEN = """
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for port in sys.argv[1:]:
    chosen.register(socket.create_server(("", int(port)), backlog=64), selectors.EVENT_READ)
while True:
    for key, _ in chosen.select():
        key.fileobj.accept()[0].close()
"""
CONNECT = f"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def connects(target):
    try:
        socket.create_connection(target, timeout={TIMEOUT}).close()
    except OSError:
        return False
    return True

targets = [tuple(target) for target in json.loads(sys.argv[1])]
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(list(pool.map(connects, targets))))
"""


@dataclass(frozen=True, repr=False)
class Peer:
    """A Pod: what policies see of it."""

    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return f"{self.namespace}/{self.name}"


T = TypeVar("T")
# Who reaches whom, and on which port.
Connection = tuple[Peer, Peer, int]


class Peers:
    """The Pods in a cluster."""

    def __init__(self, kube: Kube, image: str, *peers: Peer) -> None:
        self._kube, self._image, self._peers = kube, image, peers

    def start(self) -> None:
        """Makes their namespaces and them, and waits until they listen."""
        for namespace in self._namespaces():
            self._kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for namespace in self._namespaces():
            until(partial(self._kube.get, "serviceaccount", "default", namespace), 60, f"an account in {namespace}")
        self._kube.apply(*(self._pod(peer) for peer in self._peers))
        for peer in self._peers:
            self._kube.kubectl(
                "wait", "--for=condition=Ready", f"pod/{peer.name}", "-n", peer.namespace, "--timeout=120s", seconds=150
            )

    def remove(self) -> None:
        """Takes away their namespaces, and with them all that is in them."""
        for namespace in self._namespaces():
            self._kube.delete("namespace", namespace, "", "--wait=false")
        for namespace in self._namespaces():
            self._kube.delete("namespace", namespace)

    def address(self, peer: Peer) -> str:
        return str(self.status(peer)["podIP"])

    def status(self, peer: Peer) -> Manifest:
        status: Manifest = (self._kube.get("pod", peer.name, peer.namespace) or {})["status"]
        return status

    def connects(self, caller: Peer, *targets: tuple[str, int]) -> list[bool]:
        """Whether a Pod can connect to each of these hosts and ports."""
        found: list[bool] = json.loads(self._python(caller, CONNECT, json.dumps(targets)))
        return found

    def resolves(self, caller: Peer, host: str) -> str:
        """The address that a Pod learns for a name; an error where it learns none."""
        return self._python(caller, "import socket, sys; print(socket.gethostbyname(sys.argv[1]))", host).strip()

    def reached(self, callers: Collection[Peer], servers: Collection[Peer]) -> set[Connection]:
        """What each of the callers reaches of each of the servers, but for itself."""
        addresses = {server: self.address(server) for server in servers}

        def ask(caller: Peer) -> list[Connection]:
            asked = [(caller, server, port) for server in servers if server != caller for port in sorted(PORTS)]
            found = self.connects(caller, *((addresses[server], port) for _, server, port in asked))
            return [connection for connection, connected in zip(asked, found, strict=True) if connected]

        with ThreadPoolExecutor(4) as pool:
            return {connection for found in pool.map(ask, callers) for connection in found}

    def _namespaces(self) -> list[str]:
        return sorted({peer.namespace for peer in self._peers})

    def _python(self, peer: Peer, code: str, *arguments: str) -> str:
        return self._kube.kubectl(
            "exec", "-n", peer.namespace, peer.name, "--", "python3.11", "-c", code, *arguments, seconds=60
        )

    def _pod(self, peer: Peer) -> Manifest:
        """It is ready when it listens, and ends at once."""
        container = {
            "name": "main", "image": self._image, "imagePullPolicy": "IfNotPresent",
            "command": ["python3.11", "-c", LISTEN, *map(str, sorted(PORTS))], "securityContext": CONTAINER_SECURITY,
            "readinessProbe": {"tcpSocket": {"port": max(PORTS)}, "periodSeconds": 1},
        }  # fmt: skip
        spec = {
            "securityContext": POD_SECURITY, "containers": [container], "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
        }  # fmt: skip
        metadata = {"name": peer.name, "namespace": peer.namespace, "labels": dict(peer.labels)}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def settled(look: Callable[[], T], expected: object) -> T:
    """What is seen at a second look after it was once as expected, or else in the end: policies take effect later."""
    with suppress(TimeoutError):
        until(lambda: look() == expected, 30, "")
    return look()
