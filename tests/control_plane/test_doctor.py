"""`llmpipeline doctor` asks a real API server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from llmpipeline import names
from support.control_plane import Admin, ApiError, ControlPlane, OperatorProcess, eventually, install_crds
from support.control_plane.surroundings import role_of_rights, tiny_crd
from support.kuberay.crds import kuberay_crds
from support.repository import ROOT

GPU, PRODUCT = "nvidia.com/gpu", "nvidia.com/gpu.product"
RBAC = "rbac.authorization.k8s.io"
ACCOUNT = "system:serviceaccount:llmpipeline-system:llmpipeline-operator"


def start(kubeconfig: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "llmpipeline", "doctor", *args]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def ask(kubeconfig: Path, *args: str) -> dict[str, list[dict[str, str]]]:
    """The findings by check, as JSON has them."""
    ended = start(kubeconfig, "-o", "json", *args)
    assert ended.returncode in (0, 1), ended.stderr
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(ended.stdout):
        found.setdefault(finding["check"], []).append(finding)
    is_unknown = {check for check, verdict in verdicts(found).items() if verdict == ["Unknown"]}
    has_problem = any("Problem" in verdict for verdict in verdicts(found).values())
    assert ended.returncode == (has_problem or bool(is_unknown & {"LLMPipeline CRD", "KubeRay CRD"}))
    return found


def verdicts(found: dict[str, list[dict[str, str]]]) -> dict[str, list[str]]:
    return {check: [finding["verdict"] for finding in findings] for check, findings in found.items()}


def make_node(
    admin: Admin, name: str, labels: dict[str, str], gpus: int, *, cordoned: bool = False, resource: str = GPU
) -> None:
    metadata = {"name": name, "labels": labels}
    admin.create("v1", "nodes", {"metadata": metadata, "spec": {"unschedulable": cordoned}})
    resources = {"cpu": "8", resource: str(gpus)} if gpus else {"cpu": "8"}
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
    status = {"allocatable": resources, "capacity": resources, "conditions": [condition]}
    admin.merge_patch("v1", "nodes", None, name, {"status": status}, "status")


def make_pod(admin: Admin, namespace: str, name: str, node: str, gpus: int, phase: str = "Running") -> None:
    container = {"name": "ray", "image": "x", "resources": {"limits": {GPU: str(gpus)}}}
    # Nothing runs Pods here, so nothing would confirm a graceful end.
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
    admin.create("v1", "pods", {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
    admin.merge_patch("v1", "pods", namespace, name, {"status": {"phase": phase}}, "status")


@pytest.fixture
def gpus(admin: Admin, namespace: str) -> Iterator[None]:
    l40s = {PRODUCT: "NVIDIA-L40S"}
    made = {"doctor-a": l40s, "doctor-b": l40s, "doctor-c": l40s, "doctor-nameless": {}}
    for name, labels in made.items():
        make_node(admin, name, labels, 4, cordoned=name == "doctor-c")
    make_node(admin, "doctor-cpu", {}, 0)
    make_pod(admin, namespace, "one", "doctor-a", 1)
    make_pod(admin, namespace, "two", "doctor-a", 2, "Pending")
    make_pod(admin, namespace, "done", "doctor-b", 4, "Succeeded")
    make_pod(admin, namespace, "failed", "doctor-b", 4, "Failed")
    yield
    admin.delete_all("v1", "pods", namespace)
    for name in (*made, "doctor-cpu"):
        admin.delete("v1", "nodes", None, name)


@pytest.fixture
def kuberay(admin: Admin, namespace: str) -> Iterator[None]:
    """Its Deployment as the Helm chart makes it by default; nothing runs here, so its status is written by hand."""
    labels = {"app.kubernetes.io/name": "kuberay-operator", "app.kubernetes.io/instance": "kuberay-operator"}
    gates = "RayClusterStatusConditions=true,RayJobDeletionPolicy=true,RayServiceIncrementalUpgrade=true"
    container = {
        "name": "kuberay-operator",
        "image": "registry.example/kuberay/operator:v1.7.0",
        "command": ["/manager"],
        "args": ["--enable-leader-election=true", "--reconcile-concurrency=1", f"--feature-gates={gates}"],
        "resources": {"limits": {"cpu": "100m", "memory": "512Mi"}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    manifest = {
        "metadata": {"name": "kuberay-operator", "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    admin.create("apps/v1", "deployments", manifest)
    status = {"status": {"replicas": 1, "readyReplicas": 1}}
    admin.merge_patch("apps/v1", "deployments", namespace, "kuberay-operator", status, "status")
    yield
    admin.delete("apps/v1", "deployments", namespace, "kuberay-operator")


@pytest.fixture
def our_newest_crd(admin: Admin, tmp_path: Path) -> None:
    """The CRD of this very code: the one in `manifests/` may be about to be generated again."""
    from llmpipeline.api.crd import crd

    (tmp_path / "crd.yaml").write_text(json.dumps(crd()))
    install_crds(admin, tmp_path / "crd.yaml")


@pytest.fixture(scope="module")
def operator_role(admin: Admin) -> str:
    role = admin.apply(f"{RBAC}/v1", "clusterroles", role_of_rights())
    return str(role["metadata"]["name"])


@pytest.fixture
def gpu_class(admin: Admin) -> Iterator[None]:
    """A class with a type that is not built in, whose resource is of another vendor."""
    given = {"name": "X9000", "resource": "example.com/gpu", "nodeLabels": {"example.com/gpu": ["x9000"]}}
    document = {"apiVersion": names.API_VERSION, "kind": names.CLASS_KIND, "metadata": {"name": "doctor"}}
    admin.create(names.API_VERSION, names.CLASS_PLURAL, {**document, "spec": {"gpuTypes": [given]}})
    yield
    admin.delete(names.API_VERSION, names.CLASS_PLURAL, None, "doctor")


@pytest.mark.usefixtures("gpu_class")
def test_a_type_of_a_class(control_plane: ControlPlane, admin: Admin) -> None:
    make_node(admin, "doctor-x", {"example.com/gpu": "x9000"}, 4, resource="example.com/gpu")
    try:
        (finding,) = ask(control_plane.kubeconfig)["GPUs"]
    finally:
        admin.delete("v1", "nodes", None, "doctor-x")
    assert (finding["verdict"], finding["message"]) == (
        "Ok",
        "X9000: 4 on 1 node, 4 free; for pipelines of class doctor",
    )


@pytest.mark.usefixtures("gpus", "kuberay", "our_newest_crd")
def test_a_cluster_that_can(control_plane: ControlPlane, namespace: str) -> None:
    found = ask(control_plane.kubeconfig)
    assert verdicts(found) == {
        "Kubernetes": ["Ok"],
        "LLMPipeline CRD": ["Ok"],
        "KubeRay CRD": ["Ok" if kuberay_crds().own else "Problem"],
        "KubeRay operator": ["Ok"],
        "KubeRay Pods": ["Ok"],
        "KubeRay features": ["Ok"],
        "KubeRay workers": ["Warning"],
        "KubeRay namespaces": ["Ok"],
        "GPUs": ["Ok", "Warning"],
        "Gateway API": ["Warning"],
        "Prometheus operator": ["Warning"],
        "Rights": ["Ok"],
    }
    operator = f"{namespace}/kuberay-operator is 1.7 (registry.example/kuberay/operator:v1.7.0)"
    assert found["KubeRay operator"][0]["message"] == operator
    l40s, nameless = (finding["message"] for finding in found["GPUs"])
    assert l40s == "L40S: 8 on 2 nodes, 5 free (at most 4 on one node); 4 more on 1 node cordoned or not Ready"
    assert nameless.endswith("no label says which GPUs these are: doctor-nameless")


@pytest.mark.usefixtures("kuberay")
def test_as_a_table(control_plane: ControlPlane) -> None:
    ended = start(control_plane.kubeconfig)
    lines = ended.stdout.splitlines()
    assert lines[0].split() == ["ok", "Kubernetes", lines[0].split()[-1]]
    assert "\x1b" not in ended.stdout
    assert ended.stderr == ""


@pytest.mark.usefixtures("gpus", "kuberay")
def test_a_user_without_rights_gets_sentences_and_no_traceback(control_plane: ControlPlane) -> None:
    ended = start(control_plane.kubeconfig_of("operator"))
    assert (ended.returncode, ended.stderr) == (1, "")
    found = ask(control_plane.kubeconfig_of("operator"))
    assert verdicts(found) == {
        "Kubernetes": ["Ok"],
        "LLMPipeline CRD": ["Unknown"],
        "KubeRay CRD": ["Unknown"],
        "KubeRay operator": ["Unknown"],
        "GPUs": ["Unknown"],
        # Discovery is for everybody.
        "Gateway API": ["Warning"],
        "Prometheus operator": ["Warning"],
        "Rights": ["Problem", "Warning"],
    }
    assert 'User "operator" cannot list resource "nodes"' in found["GPUs"][0]["message"]


@pytest.mark.usefixtures("gpus")
def test_who_may_read_nodes_but_no_pods(control_plane: ControlPlane, admin: Admin) -> None:
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}
    admin.apply(f"{RBAC}/v1", "clusterroles", {
        "apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "sees-nodes"}, "rules": [rule]
    })  # fmt: skip
    admin.bind("operator", "sees-nodes")
    try:
        l40s = ask(control_plane.kubeconfig_of("operator"))["GPUs"][0]
    finally:
        admin.unbind("operator", "sees-nodes")
    assert l40s["verdict"] == "Unknown"
    assert l40s["message"].startswith("L40S: 8 on 2 nodes; 4 more on 1 node cordoned or not Ready; how many are free")


def test_rights_of_another_user(control_plane: ControlPlane, admin: Admin, namespace: str) -> None:
    missing = ask(control_plane.kubeconfig, "--as", ACCOUNT)["Rights"]
    assert [finding["verdict"] for finding in missing] == ["Problem", "Warning"]
    assert missing[0]["message"].startswith(f"{ACCOUNT} may not, in all namespaces: get, list, watch llmpipelines")

    # By its group, which the API server adds to a request but not to a review.
    admin.apply(f"{RBAC}/v1", "clusterroles", role_of_rights())
    admin.create(f"{RBAC}/v1", "rolebindings", {
        "metadata": {"name": "doctor", "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "all-the-operator-does"},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": "system:serviceaccounts:llmpipeline-system"}],
    })  # fmt: skip

    def said() -> str:
        (finding,) = ask(control_plane.kubeconfig, "--as", ACCOUNT, "-n", namespace)["Rights"]
        return str(finding["message"]) if finding["verdict"] == "Warning" else ""

    # Classes are in no namespace, so no RoleBinding grants them.
    only = "what only some features need: get, list, watch llmpipelineclasses.serving.llmpipeline.dev (className"
    assert eventually(lambda: only in said(), 20, "the rights to reach the authorizer")
    assert verdicts(ask(control_plane.kubeconfig, "--as", ACCOUNT))["Rights"] == ["Problem", "Warning"]


def test_who_may_not_ask_for_others(control_plane: ControlPlane) -> None:
    (rights,) = ask(control_plane.kubeconfig_of("operator"), "--as", ACCOUNT)["Rights"]
    assert rights["verdict"] == "Unknown"
    assert "subjectaccessreviews" in rights["message"]


def test_a_token_that_nobody_knows(control_plane: ControlPlane, tmp_path: Path) -> None:
    config = json.loads(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "wrong"}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    ended = start(tmp_path / "kubeconfig")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        "the cluster rejects the request: Unauthorized (HTTP 401); log in again, or choose another --context\n"
    )


def test_no_cluster(control_plane: ControlPlane, tmp_path: Path) -> None:
    config = json.loads(control_plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": "https://127.0.0.1:1"}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    for kubeconfig, said in (("kubeconfig", "the cluster cannot be reached"), ("missing", "no cluster to connect to")):
        ended = start(tmp_path / kubeconfig)
        assert (ended.returncode, ended.stdout) == (3, "")
        assert ended.stderr.startswith(said)
        assert "Traceback" not in ended.stderr


def test_optional_apis_are_found_by_discovery(control_plane: ControlPlane, admin: Admin, tmp_path: Path) -> None:
    crds = [
        tiny_crd("gateway.networking.k8s.io", "GatewayClass", "Cluster"),
        tiny_crd("monitoring.coreos.com", "PodMonitor", "Namespaced"),
    ]
    (tmp_path / "crds.yaml").write_text("\n---\n".join(map(json.dumps, crds)))
    names = install_crds(admin, tmp_path / "crds.yaml")
    group_version = "gateway.networking.k8s.io/v1"
    try:
        found = ask(control_plane.kubeconfig)
        assert found["Gateway API"][0]["message"].startswith("no GatewayClass")
        assert found["Prometheus operator"][0]["verdict"] == "Ok"
        body = {"apiVersion": group_version, "kind": "GatewayClass", "metadata": {"name": "istio"}}
        admin.create(group_version, "gatewayclasses", body)
        assert ask(control_plane.kubeconfig)["Gateway API"][0]["message"] == "GatewayClasses: istio"
    finally:
        for name in names:
            admin.delete("apiextensions.k8s.io/v1", "customresourcedefinitions", None, name)


@pytest.fixture(scope="module")
def audited_from(control_plane: ControlPlane) -> int:
    """Where the audit log stands before the operator starts: `doctor` is asked as the same user before."""
    return control_plane.audit_log.stat().st_size


def test_the_rights_are_enough_for_the_operator(
    audited_from: int, control_plane: ControlPlane, admin: Admin, namespace: str, operator: OperatorProcess
) -> None:
    document = yaml.safe_load((ROOT / "manifests" / "samples" / "hello.yaml").read_text())
    document["metadata"]["namespace"] = namespace
    admin.create("serving.llmpipeline.dev/v1alpha1", "llmpipelines", document)
    assert eventually(lambda: is_applied(admin, namespace), 20, "Applied"), operator.log
    with control_plane.audit_log.open() as log:
        log.seek(audited_from)
        # The first line and the last may be written in parts.
        lines = [line for line in log if line.startswith("{") and line.endswith("}\n")]
    events = [event for event in map(json.loads, lines) if event["user"]["username"] == "operator"]
    assert {"get", "list", "patch", "watch"} <= {event["verb"] for event in events}
    assert not [event["requestURI"] for event in events if event["responseStatus"]["code"] == 403]
    assert verdicts(ask(control_plane.kubeconfig_of("operator")))["Rights"] == ["Ok"]


def is_applied(admin: Admin, namespace: str) -> bool:
    try:
        found = admin.get("serving.llmpipeline.dev/v1alpha1", "llmpipelines", namespace, "hello")
    except ApiError:
        return False
    conditions = found.get("status", {}).get("conditions", [])
    return any(item["type"] == "Applied" and item["status"] == "True" for item in conditions)
