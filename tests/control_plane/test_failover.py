"""Two operators on a real API server, of which one works: by a Lease, as in the chart."""

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmpipeline import names
from llmpipeline.cluster.lease import LEASE_SECONDS
from support.child_process import free_port
from support.control_plane import Admin, ControlPlane, OperatorProcess, eventually
from support.control_plane.quickstart import API, PLURAL, RAY, SERVICES, sample

# Longer than anything that was once tolerated for a minute.
HEALTHY_SECONDS = 75
CLUSTER = {"headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [{"name": "ray-head"}]}}}}
LEASES = ("coordination.k8s.io/v1", "leases")
HOLDING = "holding the lease"


class Replica:
    """One operator of the two."""

    def __init__(self, control_plane: ControlPlane, log: Path, lease_namespace: str) -> None:
        self.port = free_port()
        arguments = ["--lease-namespace", lease_namespace, "--health-port", str(self.port)]
        self.process = OperatorProcess(control_plane.kubeconfig_of("operator"), log, arguments=arguments)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    @property
    def leads(self) -> bool:
        return "llmpipeline_leading 1.0" in self.get("/metrics")[1]


@pytest.fixture
def two(control_plane: ControlPlane, admin: Admin, namespace: str, tmp_path: Path) -> Iterator[list[Replica]]:
    admin.bind("operator", "cluster-admin")
    replicas = [Replica(control_plane, tmp_path / f"{name}.log", namespace) for name in ("one", "other")]
    replicas[0].process.start()
    replicas[1].process.start(wait=False)
    assert eventually(lambda: replicas[1].is_ready, 20, "the stand-by to be ready")
    yield replicas
    for replica in replicas:
        replica.process.kill()
    admin.unbind("operator", "cluster-admin")


def holder(admin: Admin, namespace: str) -> str:
    return str(admin.get(*LEASES, namespace, "llmpipeline-operator")["spec"].get("holderIdentity") or "")


def served(admin: Admin, namespace: str, name: str) -> Callable[[], Any]:
    """A new pipeline; the result asks whether somebody works on it."""
    document = sample(namespace)
    document["metadata"]["name"] = name
    admin.create(API, PLURAL, document)
    return lambda: admin.find(RAY, SERVICES, namespace, name)


def test_one_is_the_leader_and_the_other_is_a_standby(two: list[Replica], admin: Admin, namespace: str) -> None:
    one, other = two
    assert eventually(served(admin, namespace, "first"), 10, "a RayService")
    assert (one.leads, other.leads) == (True, False)
    assert HOLDING not in other.process.log
    assert one.get("/healthz") == (200, "ok\n")
    # The RayService is there before its reconciliation is over and counted.
    counted = ('llmpipeline_reconcile_total{result="Applied"} 1.0', "llmpipeline_queue_depth 0.0")
    assert eventually(lambda: all(line in one.get("/metrics")[1] for line in counted), 10, "the metrics")


def test_both_stay_healthy_with_pipelines_from_before(
    control_plane: ControlPlane, admin: Admin, namespace: str, tmp_path: Path
) -> None:
    """A health check that looks at what others write would end a standby that starts late, after a minute."""
    admin.bind("operator", "cluster-admin")
    labelled = {"name": "foreign", "namespace": namespace, "labels": {names.LABEL_PIPELINE: "x"}}
    for number in range(3):
        served(admin, namespace, f"before{number}")
    service = {"apiVersion": RAY, "kind": "RayService", "metadata": labelled, "spec": {"rayClusterConfig": CLUSTER}}
    admin.create(RAY, SERVICES, service)
    replicas = [Replica(control_plane, tmp_path / f"{name}.log", namespace) for name in ("one", "other")]
    try:
        for replica in replicas:
            replica.process.start(wait=False)
        eventually(lambda: all(replica.is_ready for replica in replicas), 20, "both to be ready")
        deadline = time.monotonic() + HEALTHY_SECONDS
        while time.monotonic() < deadline:
            assert [replica.get("/healthz") for replica in replicas] == [(200, "ok\n")] * 2
            time.sleep(1)
        assert sorted(replica.leads for replica in replicas) == [False, True]
    finally:
        for replica in replicas:
            replica.process.kill()
        admin.unbind("operator", "cluster-admin")


def test_after_a_crash_the_standby_takes_over(two: list[Replica], admin: Admin, namespace: str) -> None:
    one, other = two
    one.process.kill()
    assert eventually(served(admin, namespace, "orphan"), 60, "the other to work")
    assert other.leads


def test_a_leader_that_is_stopped_releases_the_lease(two: list[Replica], admin: Admin, namespace: str) -> None:
    one, other = two
    began = time.monotonic()
    assert one.process.stop() == 0
    assert eventually(served(admin, namespace, "handed-over"), 60, "the other to work")
    assert time.monotonic() - began < LEASE_SECONDS, "sooner than the Lease would have run out"
    assert other.leads


def test_who_cannot_renew_ends(two: list[Replica], admin: Admin, namespace: str) -> None:
    """A stopped process that wakes up after its Lease ran out is the classic second writer."""
    one, other = two
    os.kill(one.process.pid, signal.SIGSTOP)
    assert eventually(lambda: other.leads, 60, "the other to take over")
    taken_by = holder(admin, namespace)
    os.kill(one.process.pid, signal.SIGCONT)
    assert eventually(lambda: not one.process.running, 30, "the one that overslept to end")
    assert "another operator may be the leader now" in one.process.log
    assert holder(admin, namespace) == taken_by
