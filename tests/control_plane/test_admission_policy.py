"""The chart's admission policy on a real API server: who may run code of their own choice."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from on_cluster import API, PLURAL, sample

from control_plane import Admin, ApiError, ControlPlane, eventually
from kube_assets import helm

CHART = Path(__file__).resolve().parents[2] / "charts" / "llmpipeline-operator"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
RBAC = "rbac.authorization.k8s.io/v1"


def with_custom(spec: dict[str, Any]) -> None:
    spec["apps"].append({"name": "mine", "custom": {"importPath": "a:b"}})


def with_node(spec: dict[str, Any]) -> None:
    nodes = [{"name": "a", "custom": {"importPath": "a:b"}}]
    spec["apps"].append({"name": "mine", "graph": {"nodes": nodes}})


def with_template(spec: dict[str, Any]) -> None:
    spec["workerDefaults"] = {"podTemplate": {"spec": {"priorityClassName": "a"}}}


def with_account(spec: dict[str, Any]) -> None:
    spec["ray"]["serviceAccountName"] = "somebody"


def as_root(spec: dict[str, Any]) -> None:
    spec["ray"]["podSecurity"] = "Unset"


def without_rays_token(spec: dict[str, Any]) -> None:
    spec["ray"]["authentication"] = "Disabled"


def with_engine_argument(spec: dict[str, Any]) -> None:
    spec["apps"][1]["openai"]["models"][0]["engine"] = {"extra": {"trust_remote_code": True}}


def with_scaling_policy(spec: dict[str, Any]) -> None:
    spec["apps"][0]["hello"] = {"autoscaling": {"maxReplicas": 2, "policy": {"importPath": "a:b"}}}


def with_scaling_policy_of_a_node(spec: dict[str, Any]) -> None:
    scaling = {"maxReplicas": 2, "policy": {"importPath": "a:b"}}
    spec["apps"].append({"name": "mine", "graph": {"nodes": [{"name": "a", "preprocess": {}, "autoscaling": scaling}]}})


def with_another_image(spec: dict[str, Any]) -> None:
    spec["ray"]["image"] = "elsewhere/ray:2.60.0"


FORBIDDEN = [
    (with_custom, "custom code is for users"),
    (with_node, "custom code is for users"),
    (with_template, "podTemplate is for users"),
    (with_account, "ray.serviceAccountName is for users"),
    (as_root, "ray.podSecurity is for users"),
    (without_rays_token, "ray.authentication is for users"),
    (with_engine_argument, "engine.extra is for users"),
    (with_scaling_policy, "autoscaling.policy is for users"),
    (with_scaling_policy_of_a_node, "autoscaling.policy is for users"),
    (with_another_image, "other images in ray.image than llmpipeline/..., other/... are for users"),
]


@pytest.fixture(scope="module")
def user(control_plane: ControlPlane, admin: Admin) -> Iterator[Admin]:
    """A user who may write pipelines, and nothing else."""
    rules = [
        {"apiGroups": ["serving.llmpipeline.dev"], "resources": [PLURAL], "verbs": ["create", "get", "patch", "delete"]}
    ]
    role = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "pipeline-author"}, "rules": rules}
    admin.create(RBAC, "clusterroles", role)
    admin.bind("operator", "pipeline-author")
    yield control_plane.client_of("operator")
    admin.unbind("operator", "pipeline-author")
    admin.delete(RBAC, "clusterroles", None, "pipeline-author")


@pytest.fixture(scope="module")
def policy(admin: Admin) -> Iterator[None]:
    values = "admissionPolicy.enabled=true,admissionPolicy.images={llmpipeline/,other/}"
    switched_on = ["--kube-version", "1.34.0", "--set", values]
    command = [str(helm()), "template", "op", str(CHART), *switched_on]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    made = [item for item in yaml.safe_load_all(rendered) if item and item["kind"] in PLURALS]
    for manifest in made:
        admin.create(manifest["apiVersion"], PLURALS[manifest["kind"]], manifest)
    yield
    for manifest in made:
        admin.delete(manifest["apiVersion"], PLURALS[manifest["kind"]], None, manifest["metadata"]["name"])
    time.sleep(1)  # the API server goes on with a policy for a moment


def create(client: Admin, namespace: str, change: Any = None) -> None:
    document = sample(namespace)
    document["metadata"]["name"] = "asked"
    if change:
        change(document["spec"])
    client.create(API, PLURAL, document)
    client.delete(API, PLURAL, namespace, "asked")


@pytest.mark.parametrize(("change", "says"), FORBIDDEN)
def test_who_may_not_run_code(user: Admin, policy: None, namespace: str, change: Any, says: str) -> None:
    def refused() -> str:
        """A policy takes effect a moment after it was made."""
        try:
            create(user, namespace, change)
        except ApiError as error:
            return str(error)
        return ""

    assert says in eventually(refused, 10, "the policy to refuse")
    create(user, namespace)


def test_what_leaves_the_spec_as_it_is(user: Admin, admin: Admin, policy: None, namespace: str) -> None:
    """The garbage collector, which may not run code either, takes the finalizer of what it has deleted."""
    document = sample(namespace)
    with_custom(document["spec"])
    document["metadata"]["finalizers"] = ["example.com/held"]
    admin.create(API, PLURAL, document)
    name = document["metadata"]["name"]
    admin.delete(API, PLURAL, namespace, name)
    user.merge_patch(API, PLURAL, namespace, name, {"metadata": {"finalizers": None}})
    assert admin.find(API, PLURAL, namespace, name) is None


def test_who_may(admin: Admin, policy: None, namespace: str) -> None:
    for change, _ in FORBIDDEN:
        create(admin, namespace, change)
