"""The chart in a cluster, and what the tests measured of it on the way."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from support import summary
from support.e2e.kubectl import Kube, is_pod_ready
from support.repository import CHART

RELEASE, NAMESPACE = "llmpipeline", "llmpipeline-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def note(line: str) -> None:
    """Have a figure printed after the tests, for the notes and the documentation."""
    summary.say(f"e2e: {line}")


def version() -> str:
    """The chart's, which is the operator image's tag."""
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"])


@dataclass(frozen=True)
class Images:
    """What the cluster runs.

    `cpu` has Transformers and vLLM, several gigabytes, `redis` is made of tests/e2e/redis, and `before` is the operator
    of an earlier version: they are used only where they are named.
    """

    before: str = field(default_factory=lambda: os.environ.get("E2E_BEFORE_IMAGE", ""))
    operator: str = field(
        default_factory=lambda: os.environ.get("E2E_OPERATOR_IMAGE", f"llmpipeline/operator:{version()}")
    )
    serve: str = field(default_factory=lambda: os.environ.get("E2E_SERVE_IMAGE", "llmpipeline/serve:2.60.0-base"))
    cpu: str = field(default_factory=lambda: os.environ.get("E2E_CPU_IMAGE", ""))
    redis: str = field(default_factory=lambda: os.environ.get("E2E_REDIS_IMAGE", ""))


@dataclass(frozen=True)
class Installation:
    """The chart in the cluster, by the name and in the namespace of the README where none is given."""

    kube: Kube
    image: str
    chart: Path = CHART

    def install(
        self,
        *settings: str,
        command: str = "install",
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        seconds: int = 180,
        wait: bool = True,
    ) -> str:
        """helm install or upgrade, which usually waits until both operators are ready."""
        repository, _, tag = self.image.rpartition(":")
        values = [f"image.repository={repository}", f"image.tag={tag}", *settings]
        given = [part for value in values for part in ("--set", value)]
        verb = [command] if command == "install" else ["upgrade", "--install"]
        waiting = ["--wait", "--timeout", f"{seconds}s"] if wait else []
        return self.kube.helm(*verb, release, str(self.chart), "-n", namespace, *given, *waiting)

    def uninstall(self, release: str = RELEASE, namespace: str = NAMESPACE) -> None:
        self.kube.helm("uninstall", release, "-n", namespace, "--wait", "--timeout", "120s", "--ignore-not-found")

    def pods(self) -> list[str]:
        """The operators that are ready and shall stay."""
        found = self.kube.list("pods", NAMESPACE, "app.kubernetes.io/name=llmpipeline-operator")
        return [
            item["metadata"]["name"]
            for item in found
            if "deletionTimestamp" not in item["metadata"] and is_pod_ready(item)
        ]

    def leader(self) -> str:
        """The Pod that holds the Lease; empty where none does."""
        lease = self.kube.get("lease", "llmpipeline-operator", NAMESPACE) or {"spec": {}}
        return str(lease["spec"].get("holderIdentity") or "").rpartition("_")[0]

    def logs(self) -> str:
        """What the operators that are there now have printed."""
        selector = ["-l", "app.kubernetes.io/name=llmpipeline-operator"]
        return self.kube.kubectl("logs", "-n", NAMESPACE, *selector, "--tail", "-1", "--prefix")
