"""How the tests on a real API server make a pipeline of the quickstart sample, and wait for what the operator says."""

import time
from typing import Any

from support.control_plane import Admin, eventually
from support.pipelines import sample as read_sample

API, PLURAL = "serving.llmpipeline.dev/v1alpha1", "llmpipelines"
RAY, SERVICES = "ray.io/v1", "rayservices"


def sample(namespace: str) -> dict[str, Any]:
    document = read_sample("quickstart")
    document["metadata"]["namespace"] = namespace
    return document


def pipeline(admin: Admin, namespace: str) -> dict[str, Any]:
    return admin.get(API, PLURAL, namespace, "quickstart")


def rayservice(admin: Admin, namespace: str) -> dict[str, Any] | None:
    return admin.find(RAY, SERVICES, namespace, "quickstart")


def condition(admin: Admin, namespace: str, kind: str) -> dict[str, Any]:
    """The condition, once it speaks of the newest generation; else an empty dict."""
    found = pipeline(admin, namespace)
    items: list[dict[str, Any]] = found.get("status", {}).get("conditions", [])
    for item in items:
        if item["type"] == kind and item["observedGeneration"] == found["metadata"]["generation"]:
            return item
    return {}


def wait_for(admin: Admin, namespace: str, kind: str, status: str, reason: str | None = None) -> dict[str, Any]:
    def probe() -> dict[str, Any] | None:
        found = condition(admin, namespace, kind)
        return found if found.get("status") == status and reason in (None, found["reason"]) else None

    found = eventually(probe, 10, f"{kind}={status} {reason or ''}")
    assert found
    return found


def apply_sample(admin: Admin, namespace: str) -> dict[str, Any]:
    admin.create(API, PLURAL, sample(namespace))
    wait_for(admin, namespace, "Applied", "True")
    found = rayservice(admin, namespace)
    assert found
    return found


def settle(seconds: float = 1.5) -> None:
    """Time enough for writes that must not come."""
    time.sleep(seconds)


def versions(admin: Admin, namespace: str) -> tuple[str, str]:
    service = rayservice(admin, namespace)
    assert service
    return pipeline(admin, namespace)["metadata"]["resourceVersion"], service["metadata"]["resourceVersion"]
