"""How soon the operator answers a change: alone, among many settled pipelines, and beside those of a bad neighbour.

    python hack/bench/latency.py [--settled 1000] [--samples 200]

1. Alone: a pipeline is created, until its RayService exists. One after the other, with nothing else to do.
2. Update: the image of one of many settled pipelines changes, until its RayService has it.
3. Status: the fake of KubeRay says that a RayService is ready, until the pipeline's status says so.
4. Neighbour: in another namespace there are pipelines that never get ready, ten that cannot be decoded, and one that is
   edited all the time; then updates again. The ratio to the figures of 2 is what the neighbour costs.

Everything is on one machine, so the API server, etcd, the operator and this program share its cores.
"""

import argparse
import asyncio
import json
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from load import burst, named
from result import quantile

from support.control_plane import Admin, ControlPlane, Manifest, OperatorProcess, install_crds
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.admin import resource_path
from support.kuberay.crds import kuberay_crds
from support.repository import CRDS, SAMPLES

API, PLURAL, RAY, SERVICES = "serving.llmpipeline.dev/v1alpha1", "llmpipelines", "ray.io/v1", "rayservices"
OURS, THEIRS = "ours", "theirs"
LIMIT_SECONDS = 60.0
DEEP = '{"a":' * 5000 + "1" + "}" * 5000


class Latency:
    """The steps around one control plane and one operator."""

    def __init__(self, control_plane: ControlPlane, settled: int, samples: int) -> None:
        self._control_plane, self._settled, self._samples = control_plane, settled, samples
        self._admin = control_plane.admin()
        log = control_plane.directory / "operator.log"
        self._operator = OperatorProcess(control_plane.kubeconfig_of("operator"), log)
        install_crds(self._admin, kuberay_crds().directory)
        install_crds(self._admin, CRDS)
        self._admin.bind("operator", "cluster-admin")
        for namespace in (OURS, THEIRS):
            self._admin.create_namespace(namespace)
        self._sample: Manifest = yaml.safe_load((SAMPLES / "hello.yaml").read_text())

    def run(self) -> None:
        """All steps, each with a line of its result."""
        self._operator.start()
        try:
            _show("created -> RayService, nothing else to do", self._alone())
            self._fill()
            updates = self._updates()
            _show(f"update among {self._settled} settled -> RayService changed", updates)
            _show("KubeRay says ready -> our status", self._statuses())
            over = self._bad_neighbour()
            beside = self._updates()
            over.set()
            _show("the same beside a bad neighbour", beside)
            ratio = quantile(beside, 0.99) / quantile(updates, 0.99)
            memory = psutil.Process(self._operator.pid).memory_info().rss / 2**20
            print(f"p99 beside the neighbour / without: {ratio:.2f}; memory of the operator: {memory:.0f} MiB")
        finally:
            self._operator.kill()

    def _alone(self) -> list[float]:
        return [self._created(f"alone-{number}") for number in range(self._samples)]

    def _created(self, name: str) -> float:
        self._admin.create(API, PLURAL, self._named(name, OURS))
        return _until(lambda: self._admin.find(RAY, SERVICES, OURS, name) is not None)

    def _named(self, name: str, namespace: str) -> Manifest:
        return {**self._sample, "metadata": {"name": name, "namespace": namespace}}

    def _fill(self) -> None:
        pipelines = named(self._sample, OURS, self._settled)
        asyncio.run(burst(self._control_plane, pipelines, 600))

    def _updates(self) -> list[float]:
        return [self._updated(f"bench-{number % self._settled:05}", number) for number in range(self._samples)]

    def _updated(self, name: str, number: int) -> float:
        image = f"registry.example/ray:{time.monotonic_ns()}-{number}"
        self._admin.merge_patch(API, PLURAL, OURS, name, {"spec": {"ray": {"image": image}}})
        return _until(lambda: image in json.dumps(self._admin.get(RAY, SERVICES, OURS, name)["spec"]))

    def _statuses(self) -> list[float]:
        return [self._said_ready(f"bench-{number % self._settled:05}") for number in range(min(100, self._settled))]

    def _said_ready(self, name: str) -> float:
        kuberay.make_ready(self._admin, OURS, name)
        return _until(lambda: _is_ready(self._admin, name))

    def _bad_neighbour(self) -> threading.Event:
        """Makes it, and has one of its pipelines edited until the event is set."""
        asyncio.run(burst(self._control_plane, named(self._sample, THEIRS, self._settled), 600))
        for service in self._admin.list(RAY, SERVICES, THEIRS):
            kuberay.make_initializing(self._admin, THEIRS, service["metadata"]["name"])
        node = {"name": "n", "preprocess": {}, "fallback": "@@"}
        graph = {"name": "g", "graph": {"nodes": [node]}}
        for number in range(10):
            poisoned = self._named(f"poisoned-{number}", THEIRS)
            poisoned = {**poisoned, "spec": {**poisoned["spec"], "apps": [graph]}}
            body = json.dumps(poisoned).replace('"@@"', DEEP).encode()
            self._admin.bytes_of(resource_path(API, PLURAL, THEIRS), body)
        over = threading.Event()
        threading.Thread(target=self._edit, args=(over,), daemon=True).start()
        return over

    def _edit(self, over: threading.Event) -> None:
        while not over.is_set():
            image = f"registry.example/ray:{time.monotonic_ns()}"
            self._admin.merge_patch(API, PLURAL, THEIRS, "bench-00000", {"spec": {"ray": {"image": image}}})
            time.sleep(0.1)


def _is_ready(admin: Admin, name: str) -> bool:
    conditions = admin.get(API, PLURAL, OURS, name).get("status", {}).get("conditions", [])
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)


def _until(done: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > LIMIT_SECONDS:
            raise TimeoutError(f"not in {LIMIT_SECONDS:.0f} s")
        time.sleep(0.005)
    return time.monotonic() - began


def _show(what: str, seconds: list[float]) -> None:
    median, p99 = (1000 * value for value in (statistics.median(seconds), quantile(seconds, 0.99)))
    print(f"{what:60} p50 {median:6.0f} ms, p99 {p99:6.0f} ms, of {len(seconds)}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="How soon the operator answers a change.")
    parser.add_argument("--settled", type=int, default=1000, help="settled pipelines (default 1000)")
    parser.add_argument("--samples", type=int, default=200, help="changes of each kind (default 200)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ControlPlane() as control_plane:
        Latency(control_plane, arguments.settled, arguments.samples).run()


if __name__ == "__main__":
    main()
