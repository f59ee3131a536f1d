"""An operator for chosen namespaces, on a real API server: what it may not read does not keep it from the rest."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.control_plane import Admin, ControlPlane, OperatorProcess, eventually
from support.control_plane.quickstart import API, PLURAL, rayservice, sample

RBAC = "rbac.authorization.k8s.io"


def bind_in(admin: Admin, namespace: str) -> None:
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "operator", "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "admin-of-everything"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "operator"}],
    }
    admin.create(f"{RBAC}/v1", "rolebindings", binding)


@pytest.fixture
def role(admin: Admin) -> Iterator[None]:
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    manifest = {"metadata": {"name": "admin-of-everything"}, "rules": rules}
    admin.create(f"{RBAC}/v1", "clusterroles", {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", **manifest})
    yield
    admin.delete(f"{RBAC}/v1", "clusterroles", None, "admin-of-everything")


@pytest.mark.usefixtures("role")
def test_one_that_it_may_not_read_is_left_out(
    control_plane: ControlPlane, admin: Admin, namespace: str, tmp_path: Path
) -> None:
    """As after somebody deleted that namespace, and with it the operator's role there."""
    other = admin.create_namespace(f"{namespace}-other")
    bind_in(admin, namespace)
    arguments = ["--namespace", namespace, "--namespace", other]
    operator = OperatorProcess(control_plane.kubeconfig_of("operator"), tmp_path / "operator.log", arguments=arguments)
    try:
        operator.start()
        admin.create(API, PLURAL, sample(namespace))
        assert eventually(lambda: rayservice(admin, namespace), 10, "a RayService where it may")
        time.sleep(3)
        assert operator.log.count(f"LLMPipeline in {other} cannot be watched") == 1
        assert operator.running
    finally:
        operator.kill()


def test_where_it_may_read_none_it_says_so(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    arguments = ["--namespace", namespace, "--namespace", "elsewhere"]
    operator = OperatorProcess(control_plane.kubeconfig_of("operator"), tmp_path / "operator.log", arguments=arguments)
    operator.start(wait=False)
    assert eventually(lambda: not operator.running, 20, "the operator to end")
    assert "the cluster rejects the request" in operator.log
