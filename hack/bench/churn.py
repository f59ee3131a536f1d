"""Whether the operator's memory grows while pipelines come, change and go.

    python hack/bench/churn.py [--minutes 10] [--alive 100]

Each second some pipelines are created, some get ready, some change, some are deleted, so that their number stays the
same. There is no garbage collector here, so this program deletes the RayServices. The slope is that of a straight line
through the resident memory of the second half: the first half fills caches.
"""

import argparse
import signal
import statistics
import sys
import time
from collections import deque
from pathlib import Path

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.control_plane import ControlPlane, Manifest, OperatorProcess, eventually, install_crds
from support.control_plane import fake_kuberay as kuberay
from support.kuberay.crds import kuberay_crds
from support.repository import CRDS, SAMPLES

API, PLURAL, RAY, SERVICES = "serving.llmpipeline.dev/v1alpha1", "llmpipelines", "ray.io/v1", "rayservices"
NAMESPACE = "churn"
PER_SECOND = 3
MIB = 2**20


class Churn:
    """The loop around one control plane and one operator."""

    def __init__(self, control_plane: ControlPlane, alive: int) -> None:
        self._alive, self._admin = alive, control_plane.admin()
        self._operator = OperatorProcess(
            control_plane.kubeconfig_of("operator"), control_plane.directory / "operator.log"
        )
        install_crds(self._admin, kuberay_crds().directory)
        install_crds(self._admin, CRDS)
        self._admin.bind("operator", "cluster-admin")
        self._admin.create_namespace(NAMESPACE)
        self._sample: Manifest = yaml.safe_load((SAMPLES / "hello.yaml").read_text())
        self._living: deque[str] = deque()
        self._made = 0

    def run(self, minutes: float) -> None:
        """Churns for so long, and prints the slope."""
        self._operator.start()
        samples: list[tuple[float, float]] = []
        try:
            process = psutil.Process(self._operator.pid)
            began = time.monotonic()
            while (passed := time.monotonic() - began) < 60 * minutes:
                self._second()
                samples.append((passed / 3600, process.memory_info().rss / MIB))
                time.sleep(max(0.0, 1.0 - (time.monotonic() - began - passed)))
                if len(samples) % 60 == 0:
                    print(f"{passed / 60:.0f} min: {self._made} made, {samples[-1][1]:.1f} MiB", file=sys.stderr)
        finally:
            self._operator.kill()
        half = samples[len(samples) // 2 :]
        slope, _ = statistics.linear_regression([at for at, _ in half], [rss for _, rss in half])
        print(
            f"{self._made} pipelines made, changed and deleted in {minutes:.0f} min, {self._alive} alive: "
            f"{half[0][1]:.1f} MiB at half-time, {half[-1][1]:.1f} MiB at the end, slope {slope:+.1f} MiB an hour"
        )

    def _second(self) -> None:
        for _ in range(PER_SECOND):
            name = f"churn-{self._made:06}"
            self._made += 1
            self._admin.create(API, PLURAL, {**self._sample, "metadata": {"name": name, "namespace": NAMESPACE}})
            self._living.append(name)
        self._settle(self._living[-2 * PER_SECOND] if len(self._living) > 2 * PER_SECOND else "")
        while len(self._living) > self._alive:
            gone = self._living.popleft()
            self._admin.delete(API, PLURAL, NAMESPACE, gone)
            self._admin.delete(RAY, SERVICES, NAMESPACE, gone)

    def _settle(self, name: str) -> None:
        """One gets ready, and then changes."""
        if not name:
            return
        eventually(lambda: self._admin.find(RAY, SERVICES, NAMESPACE, name), 30, f"the RayService {name}")
        kuberay.make_ready(self._admin, NAMESPACE, name)
        image = f"registry.example/ray:{self._made}"
        self._admin.merge_patch(API, PLURAL, NAMESPACE, name, {"spec": {"ray": {"image": image}}})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Whether the operator's memory grows.")
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--alive", type=int, default=100, help="pipelines at a time (default 100)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ControlPlane() as control_plane:
        Churn(control_plane, arguments.alive).run(arguments.minutes)


if __name__ == "__main__":
    main()
