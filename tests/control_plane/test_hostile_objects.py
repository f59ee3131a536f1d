"""Objects that nobody can decode, or only at a cost: nobody else's pipeline notices, and the operator goes on."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
import urllib3

from llmpipeline import names
from support.control_plane import Admin, ApiError, ControlPlane, OperatorProcess, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.admin import resource_path
from support.control_plane.quickstart import API, PLURAL, RAY, SERVICES, condition, pipeline, rayservice, sample
from support.pipelines import pipeline as document_of

MOST_MEMORY = 256 * 2**20
HOLE = "@@"


def with_fallback(namespace: str, name: str, fallback: str) -> bytes:
    """A pipeline with this JSON as the result of a node that fails: as text, for Python could not write it."""
    node = {"name": "n", "preprocess": {}, "fallback": HOLE}
    document = document_of({"name": "g", "graph": {"nodes": [node]}}, name=name, namespace=namespace)
    return json.dumps(document).replace(f'"{HOLE}"', fallback).encode()


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def empty(objects: int) -> str:
    return json.dumps({"a": [{}] * objects}, separators=(",", ":"))


HOSTILE = {
    "deep": deep(900),
    "deepest": deep(9000),
    "empty": empty(200_000),
    "large": json.dumps({"a": "x" * 1_400_000}),
    "wide": json.dumps({f"k{number}": {} for number in range(15_000)}),
}


@pytest.fixture
def hostile(admin: Admin, control_plane: ControlPlane, namespace: str, operator: OperatorProcess) -> Iterator[str]:
    where = admin.create_namespace(f"{namespace[:50]}-evil")
    made: list[str] = []
    try:
        for name, fallback in {**HOSTILE, **{f"empty{number}": empty(50_000) for number in range(3)}}.items():
            made.append(name)
            admin.bytes_of(resource_path(API, PLURAL, where), with_fallback(where, name, fallback))
        yield where
    finally:  # one that stays costs every test after this one; all at once take longer than a request may
        for name in made:
            with suppress(ApiError):  # the last may not have been made
                admin.bytes_of(resource_path(API, PLURAL, where, name), method="DELETE")
        # Its watch cache keeps each version of each of them, which are gigabytes, and makes it slow for good.
        control_plane.restart_apiserver()
        eventually(lambda: is_writable(admin, f"{namespace[:50]}-after"), 60, "the API server to take writes again")


def is_writable(admin: Admin, namespace: str) -> bool:
    """After a restart it says that it is ready some time before it is."""
    with suppress(ApiError, urllib3.exceptions.HTTPError):
        return bool(admin.create_namespace(namespace))
    return False


def is_served(admin: Admin, namespace: str) -> bool:
    return condition(admin, namespace, "Applied").get("status") == "True"


def is_rejected(admin: Admin, namespace: str, name: str) -> bool:
    with suppress(urllib3.exceptions.HTTPError):  # it did not answer in time
        return b'"reason":"InvalidSpec"' in admin.bytes_of(resource_path(API, PLURAL, namespace, name))
    return False


def test_others_are_served_and_a_restart_survives(
    admin: Admin, namespace: str, operator: OperatorProcess, hostile: str
) -> None:
    peak = 0

    def served() -> bool:
        nonlocal peak
        peak = max(peak, psutil.Process(operator.pid).memory_info().rss)
        return is_served(admin, namespace)

    admin.create(API, PLURAL, sample(namespace))
    eventually(served, 10, "a pipeline of another namespace")
    operator.restart(kill=True)
    changed = pipeline(admin, namespace)
    changed["spec"]["ray"]["image"] = "other:1"
    admin.replace(API, PLURAL, changed)
    eventually(served, 10, "a change after a restart")
    for name in HOSTILE:
        # To read one costs the API server a good part of a second, in which the operator's write waits.
        eventually(lambda name=name: is_rejected(admin, hostile, name), 150, f"{name} to be rejected", interval=3)
        served()
    assert operator.running
    assert peak < MOST_MEMORY, f"{peak / 2**20:.0f} MiB"


def test_a_rayservice_that_somebody_spoiled(admin: Admin, namespace: str, operator: OperatorProcess) -> None:
    """KubeRay takes YAML in serveConfigV2; and a status of any form may be in it."""
    admin.create(API, PLURAL, sample(namespace))
    eventually(lambda: is_served(admin, namespace), 10, "it to be applied")
    service = rayservice(admin, namespace)
    assert service
    spoiled = copy.deepcopy(service)
    spoiled["spec"]["serveConfigV2"] = "applications:\n- name: hello\n  route_prefix: /\n"
    admin.replace(RAY, SERVICES, spoiled)
    graph: dict[str, Any] = {"nodes": [{"name": "n", "preprocess": {}}], "output": {"a": "nothing"}}
    broken = {"spec": {"apps": [{"name": "g", "graph": graph}]}}
    admin.merge_patch(API, PLURAL, namespace, "quickstart", broken)
    eventually(lambda: condition(admin, namespace, "Accepted").get("reason") == "InvalidSpec", 10, "its rejection")
    admin.merge_patch(API, PLURAL, namespace, "quickstart", {"spec": {"apps": sample(namespace)["spec"]["apps"]}})
    eventually(lambda: is_served(admin, namespace), 10, "it to be applied again")
    again = rayservice(admin, namespace)
    assert again
    assert again["spec"] == service["spec"]
    assert operator.running


@pytest.mark.parametrize("generation", [10**30, -1, 0, 99])
def test_a_last_edit_that_somebody_made_up(
    admin: Admin, namespace: str, operator: OperatorProcess, generation: int
) -> None:
    """Who may change RayServices may write it; the status must go on saying what is so."""
    admin.create(API, PLURAL, sample(namespace))
    eventually(lambda: is_served(admin, namespace), 10, "it to be applied")
    edit = json.dumps({"effect": "Forged", "message": "forged", "observedGeneration": generation})
    patch = {"metadata": {"annotations": {names.ANNOTATION_LAST_EDIT: edit}}}
    admin.merge_patch(RAY, SERVICES, namespace, "quickstart", patch)
    kuberay.make_ready(admin, namespace, "quickstart")
    eventually(lambda: condition(admin, namespace, "Ready").get("status") == "True", 10, "Ready")
    assert "lastEdit" not in pipeline(admin, namespace)["status"]
