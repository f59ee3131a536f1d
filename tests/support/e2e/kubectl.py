"""A cluster by kubectl and helm, as its users reach it."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from support.control_plane.admin import eventually
from support.control_plane.assets import helm

Manifest = dict[str, Any]
T = TypeVar("T")
LLMP = "llmpipelines.serving.llmpipeline.dev"


class CommandError(Exception):
    """A command that failed, with what it printed."""


class Kube:
    """kubectl and helm against one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}

    def kubectl(self, *arguments: str, given: str | None = None, seconds: float = 120) -> str:
        return self._run(["kubectl", *arguments], given, seconds)

    def helm(self, *arguments: str, seconds: float = 300) -> str:
        return self._run([str(helm()), *arguments], None, seconds)

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """One object; None where there is none."""
        found = self.kubectl("get", kind, name, *_within(namespace), "-o", "json", "--ignore-not-found")
        return json.loads(found) if found.strip() else None

    def list(self, kind: str, namespace: str = "", selector: str = "") -> Sequence[Manifest]:
        """The objects of a kind, of all namespaces where none is given."""
        chosen = ["-l", selector] if selector else []
        items: Sequence[Manifest] = json.loads(
            self.kubectl("get", kind, *(_within(namespace) or ["-A"]), *chosen, "-o", "json")
        )["items"]
        return items

    def apply(self, *manifests: Manifest) -> None:
        body = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "-f", "-", given=json.dumps(body))

    def delete(self, kind: str, name: str, namespace: str = "", *more: str, seconds: float = 180) -> None:
        arguments = ["delete", kind, name, *_within(namespace), "--ignore-not-found", *more]
        self.kubectl(*arguments, seconds=seconds)

    def conditions(self, name: str, namespace: str) -> dict[str, Manifest]:
        """Of a pipeline, by type, where they speak of its newest generation; else none."""
        return conditions_of(self.get(LLMP, name, namespace))

    def wait_for(
        self, name: str, namespace: str, kind: str, status: str, reason: str = "", seconds: float = 60
    ) -> Manifest:
        """A pipeline's condition, once it has this status (and reason)."""

        def probe() -> Manifest | None:
            found = self.conditions(name, namespace).get(kind)
            return found if found and found["status"] == status and reason in ("", found["reason"]) else None

        what = f"{namespace}/{name}: {kind}={status} {reason}"
        try:
            found = until(probe, seconds, what)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self._about(name, namespace)}") from None
        assert found
        return found

    def _about(self, name: str, namespace: str) -> str:
        said = {
            kind: f"{it['status']} {it['reason']}: {it['message']}"
            for kind, it in self.conditions(name, namespace).items()
        }
        pods = self.kubectl("get", "pods", *_within(namespace), "-o", "wide")
        return f"{json.dumps(said, indent=1)}\n{pods}"

    def _run(self, command: Sequence[str], given: str | None, seconds: float) -> str:
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                input=given,
                env=self._environment,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"{' '.join(command[:8])}: not done in {seconds} s") from error
        if done.returncode:
            raise CommandError(f"{' '.join(command[:8])}: {done.stderr or done.stdout}")
        return done.stdout


def conditions_of(pipeline: Manifest | None) -> dict[str, Manifest]:
    """The conditions of a pipeline by type, if they are about its newest generation; else none."""
    status = (pipeline or {}).get("status", {})
    if not pipeline or status.get("observedGeneration") != pipeline["metadata"]["generation"]:
        return {}
    return {item["type"]: item for item in status["conditions"]}


def is_pod_ready(pod: Manifest) -> bool:
    """Whether a Pod's own condition says so."""
    return any(it["type"] == "Ready" and it["status"] == "True" for it in pod["status"].get("conditions", ()))


def until(probe: Callable[[], T], seconds: float, what: str, interval: float = 0.5) -> T:
    """As `eventually`, at a pace that fits a process for every look."""
    return eventually(probe, seconds, what, interval)


def _within(namespace: str) -> list[str]:
    return ["-n", namespace] if namespace else []
