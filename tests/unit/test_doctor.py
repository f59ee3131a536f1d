"""What `doctor` says of a cluster: every check, with every verdict it can come to."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from llmpipeline import names
from llmpipeline.api.crd import crd
from llmpipeline.cli import doctor as command
from llmpipeline.cli.main import main
from llmpipeline.cluster.errors import Unreachable
from llmpipeline.doctor import nodes
from llmpipeline.doctor.diagnose import diagnose
from llmpipeline.doctor.gpu_types import known
from llmpipeline.doctor.nodes import Claim, Node
from llmpipeline.doctor.types import ClusterFacts, Finding, Unread
from llmpipeline.plan.capacity.accelerators import TYPES
from llmpipeline.rights import READ_PODS, RIGHTS

GPU = "nvidia.com/gpu"
PRODUCT = "nvidia.com/gpu.product"
FORBIDDEN = Unread('nodes is forbidden: User "u" cannot list resource "nodes"')
ARGS = ("--enable-leader-election=true", "--reconcile-concurrency=10", "--qps=100")


def ray_crd(*fields: str) -> dict[str, Any]:
    known = fields or ("rayClusterDeletionDelaySeconds", "managedBy", "suspend")
    autoscaler = {"properties": {"version": {"type": "string"}}}
    spec = {"rayClusterConfig": {"properties": {"autoscalerOptions": autoscaler}}} | {name: {} for name in known}
    schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": spec}}}}
    return {"spec": {"versions": [{"name": "v1", "served": True, "schema": schema}]}}


def deployment(
    *args: str,
    image: str = "registry.example/kuberay/operator:v1.7.0",
    cpu: str = "2",
    ready: int = 1,
    name: str = "kuberay",
) -> dict[str, Any]:
    container = {"name": "kuberay-operator", "image": image, "args": list(args or ARGS)}
    if cpu:
        container["resources"] = {"limits": {"cpu": cpu}}  # type: ignore[assignment]
    return {
        "metadata": {"namespace": "ray", "name": name, "labels": {"app.kubernetes.io/name": "kuberay-operator"}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": ready},
    }


def gpu_node(name: str, product: str, count: int, *, resource: str = GPU, usable: bool = True) -> Node:
    return Node(name, {PRODUCT: product} if product else {}, {resource: count} if count else {}, usable)


HEALTHY = ClusterFacts(
    kubernetes="v1.34.1",
    our_crd=crd(),
    ray_crd=ray_crd(),
    operators=[deployment()],
    nodes=[gpu_node("a", "NVIDIA-L40S", 4)],
    claims=[Claim("a", {GPU: 1})],
    gateway_classes=["istio"],
    pod_monitors=True,
    missing_rights=(),
)


def findings(check: str, **changes: Any) -> list[Finding]:
    return [finding for finding in diagnose(replace(HEALTHY, **changes)) if finding.check == check]


def only(check: str, **changes: Any) -> Finding:
    (finding,) = findings(check, **changes)
    return finding


def test_a_healthy_cluster_has_nothing_to_mend() -> None:
    found = diagnose(HEALTHY)
    assert {finding.verdict for finding in found} == {"Ok"}
    assert not [finding.remedy for finding in found if finding.remedy]
    assert list(dict.fromkeys(finding.check for finding in found)) == [
        "Kubernetes", "LLMPipeline CRD", "KubeRay CRD", "KubeRay operator", "KubeRay Pods", "KubeRay features",
        "KubeRay workers", "KubeRay namespaces", "GPUs", "Gateway API", "Prometheus operator", "Rights",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "check"),
    [
        ("kubernetes", "Kubernetes"),
        ("our_crd", "LLMPipeline CRD"),
        ("ray_crd", "KubeRay CRD"),
        ("operators", "KubeRay operator"),
        ("nodes", "GPUs"),
        ("claims", "GPUs"),
        ("gateway_classes", "Gateway API"),
        ("pod_monitors", "Prometheus operator"),
        ("missing_rights", "Rights"),
    ],
)
def test_what_may_not_be_read_is_unknown(part: str, check: str) -> None:
    finding = only(check, **{part: FORBIDDEN})
    assert finding.verdict == "Unknown"
    assert FORBIDDEN.reason in finding.message
    assert "ask for the right" in finding.remedy


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("v1.30.0", "Ok"),
        ("v1.33.4-gke.1036000", "Ok"),
        ("v1.29.14+k3s1", "Problem"),
        ("v2.0.0", "Ok"),
        ("tip", "Unknown"),
    ],
)
def test_kubernetes(version: str, verdict: str) -> None:
    finding = only("Kubernetes", kubernetes=version)
    assert finding.verdict == verdict
    assert version in finding.message


def test_our_crd_missing() -> None:
    finding = only("LLMPipeline CRD", our_crd=None)
    assert (finding.verdict, finding.message) == ("Problem", "not installed")
    assert "manifests/crds" in finding.remedy


def other_crd(change: Any) -> dict[str, Any]:
    changed = copy.deepcopy(crd())
    change(changed["spec"]["versions"][0])
    return changed


def spec_of(version: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda version: spec_of(version)["properties"].pop("apps"), "it lacks spec.apps"),
        (
            lambda version: spec_of(version)["properties"].update({"old": {}, "older": {"properties": {"x": {}}}}),
            "it also has spec.old and 1 more",
        ),
        (lambda version: spec_of(version).update(maxProperties=3), "its rules are not the same"),
    ],
)
def test_our_crd_of_another_version(change: Any, said: str) -> None:
    finding = only("LLMPipeline CRD", our_crd=other_crd(change))
    assert finding.verdict == "Warning"
    assert said in finding.message
    assert "manifests/crds" in finding.remedy


def test_our_crd_that_differs_in_words_and_empty_values_is_the_same() -> None:
    def reword(version: dict[str, Any]) -> None:
        spec_of(version).update(description="Other words.", nullable=None, enum=[])

    assert only("LLMPipeline CRD", our_crd=other_crd(reword)).verdict == "Ok"


def test_our_crd_that_does_not_serve_our_version() -> None:
    finding = only("LLMPipeline CRD", our_crd=other_crd(lambda version: version.update(served=False)))
    assert finding.verdict == "Problem"
    assert "v1alpha1" in finding.message


@pytest.mark.parametrize(
    ("fields", "verdict", "said"),
    [
        (("rayClusterDeletionDelaySeconds", "managedBy", "suspend"), "Ok", "1.7"),
        (("rayClusterDeletionDelaySeconds", "managedBy"), "Problem", "KubeRay 1.6;"),
        (("rayClusterDeletionDelaySeconds",), "Problem", "KubeRay 1.5;"),
        (("serveService",), "Problem", "KubeRay 1.4;"),
    ],
)
def test_kuberays_crd(fields: tuple[str, ...], verdict: str, said: str) -> None:
    finding = only("KubeRay CRD", ray_crd=ray_crd(*fields))
    assert finding.verdict == verdict
    assert said in finding.message


def test_kuberays_crd_too_old_to_tell_or_missing() -> None:
    old = ray_crd()
    old["spec"]["versions"][0]["name"] = "v1alpha1"
    assert "older than 1.4" in only("KubeRay CRD", ray_crd=old).message
    missing = only("KubeRay CRD", ray_crd=None)
    assert (missing.verdict, missing.message) == ("Problem", "not installed")
    assert "helm install" in missing.remedy


def test_no_kuberay_operator() -> None:
    assert only("KubeRay operator", operators=[]).verdict == "Problem"
    foreign = deployment()
    foreign["metadata"]["labels"] = {"app.kubernetes.io/name": "kuberay"}  # its API server, say
    assert only("KubeRay operator", operators=[foreign]).verdict == "Problem"


def test_kuberay_from_its_kustomization() -> None:
    theirs = deployment()
    theirs["metadata"]["labels"] = {
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/component": "kuberay-operator",
    }
    assert only("KubeRay operator", operators=[theirs]).verdict == "Ok"


@pytest.mark.parametrize(
    ("image", "verdict", "said"),
    [
        ("registry.example/kuberay/operator:v1.7.2", "Ok", "is 1.7"),
        ("registry:5000/kuberay:1.10.0@sha256:00", "Ok", "is 1.10"),
        ("registry.example/kuberay/operator:v1.6.2", "Problem", "is 1.6; 1.7 or newer"),
        ("registry.example/kuberay/operator:nightly", "Unknown", "does not show its version"),
        ("registry:5000/kuberay", "Unknown", "does not show its version"),
        ("kuberay@sha256:00", "Unknown", "does not show its version"),
    ],
)
def test_kuberays_version(image: str, verdict: str, said: str) -> None:
    finding = only("KubeRay operator", operators=[deployment(image=image)])
    assert finding.verdict == verdict
    assert said in finding.message


def test_kuberay_without_a_ready_pod() -> None:
    finding = only("KubeRay Pods", operators=[deployment(ready=0)])
    assert (finding.verdict, finding.message) == ("Problem", "ray/kuberay: 0 of 1 ready")
    assert "-n ray describe deployment kuberay" in finding.remedy


@pytest.mark.parametrize(
    ("args", "image", "verdict", "said"),
    [
        ((), "o:v1.7.0", "Ok", "RayServiceIncrementalUpgrade on, GCSFaultToleranceEmbeddedStorage off"),
        (("--feature-gates=RayServiceIncrementalUpgrade=false",), "o:v1.7.0", "Warning", "Upgrade off"),
        (("-feature-gates", "RayClusterNetworkPolicy=true"), "o:v1.7.0", "Ok", "RayClusterNetworkPolicy on"),
        (("--feature-gates=AllAlpha=true,AllBeta=false",), "o:v1.7.0", "Warning", "Upgrade off, GCSFault"),
        (("--feature-gates=AllAlpha=true",), "o:v1.7.0", "Ok", "EmbeddedStorage on, RayClusterNetworkPolicy on"),
        (("--x",), "o:v1.6.0", "Warning", "Upgrade off"),
        (("--x",), "o:nightly", "Ok", "Upgrade on from 1.7"),
    ],
)
def test_kuberays_features(args: tuple[str, ...], image: str, verdict: str, said: str) -> None:
    finding = only("KubeRay features", operators=[deployment(*args, image=image)])
    assert finding.verdict == verdict
    assert said in finding.message


@pytest.mark.parametrize(
    ("args", "cpu", "verdict", "said"),
    [
        (("--reconcile-concurrency=10",), "1", "Ok", "10 workers, CPU limit 1"),
        (("--reconcile-concurrency", "10"), "", "Ok", "10 workers, no CPU limit"),
        (("--reconcile-concurrency=1",), "100m", "Warning", "one worker, CPU limit 100m: with many services"),
        (("--enable-metrics=true",), "", "Warning", "one worker, no CPU limit"),
        (("--reconcile-concurrency=10",), "100m", "Warning", "10 workers, CPU limit 100m"),
        (("--config", "/etc/kuberay/config.yaml"), "1", "Unknown", "configuration file"),
    ],
)
def test_kuberays_workers(args: tuple[str, ...], cpu: str, verdict: str, said: str) -> None:
    finding = only("KubeRay workers", operators=[deployment(*args, cpu=cpu)])
    assert finding.verdict == verdict
    assert said in finding.message


WATCHES = "--watch-namespace"


@pytest.mark.parametrize(
    ("operators", "namespace", "verdict", "said"),
    [
        ([deployment()], None, "Ok", "watches all"),
        ([deployment(f"{WATCHES}=")], "ml", "Ok", "watches all"),
        ([deployment(WATCHES, "ml,search")], None, "Warning", "watches ml, search alone"),
        ([deployment(WATCHES, "ml,search")], "ml", "Ok", "watches ml"),
        ([deployment(f"{WATCHES}=search")], "ml", "Problem", "watches search, not ml"),
        ([deployment(f"{WATCHES}=search"), deployment(f"{WATCHES}=ml", name="b")], "ml", "Ok", "watches ml"),
        ([deployment(), deployment(f"{WATCHES}=ml", name="b")], None, "Problem", "they undo each other"),
        ([deployment("--config=/c")], "ml", "Unknown", "configuration file"),
    ],
)
def test_kuberays_namespaces(operators: list[dict[str, Any]], namespace: str | None, verdict: str, said: str) -> None:
    finding = only("KubeRay namespaces", operators=operators, namespace=namespace)
    assert finding.verdict == verdict
    assert said in finding.message


def test_a_kuberay_scaled_to_nothing_watches_nothing() -> None:
    stopped = deployment(ready=0)
    stopped["spec"]["replicas"] = 0
    assert findings("KubeRay namespaces", operators=[stopped]) == []
    assert only("KubeRay namespaces", operators=[stopped, deployment(name="b")]).message == "watches all"


def test_gpus_by_type_with_what_is_free() -> None:
    found = findings(
        "GPUs",
        nodes=[
            gpu_node("a", "NVIDIA-L40S", 4),
            gpu_node("b", "NVIDIA-L40S", 4),
            gpu_node("c", "NVIDIA-L40S", 8, usable=False),
            gpu_node("d", "NVIDIA-H100-80GB-HBM3", 8),
            Node("cpu", {}, {}, True),
        ],
        claims=[Claim("a", {GPU: 1}), Claim("a", {GPU: 2}), Claim("d", {GPU: 8}), Claim("gone", {GPU: 1})],
    )
    assert [(finding.verdict, finding.message) for finding in found] == [
        ("Ok", "H100: 8 on 1 node, 0 free"),
        ("Ok", "L40S: 8 on 2 nodes, 5 free (at most 4 on one node); 8 more on 1 node cordoned or not Ready"),
    ]


def test_gpus_that_no_pod_can_get() -> None:
    finding = only("GPUs", nodes=[gpu_node("a", "NVIDIA-L4", 4, usable=False)])
    assert finding.verdict == "Warning"
    assert finding.message == "L4: none that a Pod can get; 4 more on 1 node cordoned or not Ready"


def test_no_gpus_is_a_warning() -> None:
    finding = only("GPUs", nodes=[Node("cpu", {}, {}, True)])
    assert (finding.verdict, finding.message) == ("Warning", "no node has any: models run on CPUs only")


def test_gpus_without_a_label() -> None:
    finding = only("GPUs", nodes=[gpu_node(name, "", 1) for name in "abcde"], claims=[])
    assert finding.verdict == "Warning"
    assert "no label says which GPUs these are: a, b, c and 2 more" in finding.message
    assert "GPU feature discovery" in finding.remedy


def test_gpus_of_a_type_that_is_not_ours() -> None:
    finding = only("GPUs", nodes=[gpu_node("a", "NVIDIA-RTX-A6000", 2)], claims=[])
    assert finding.verdict == "Warning"
    assert finding.message == "NVIDIA-RTX-A6000: 2 on 1 node, 2 free; no accelerator.type selects these"


@pytest.mark.parametrize(
    ("resource", "verdict", "name"),
    [("nvidia.com/mig-1g.5gb", "Ok", "A100 1g.5gb"), ("nvidia.com/mig-1g.5gb.me", "Warning", "A100 1g.5gb.me")],
)
def test_slices_of_gpus(resource: str, verdict: str, name: str) -> None:
    finding = only("GPUs", nodes=[gpu_node("a", "NVIDIA-A100-SXM4-40GB", 7, resource=resource)], claims=[])
    assert finding.verdict == verdict
    assert finding.message.startswith(f"{name}: 7 on 1 node, 7 free")


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_told_by_each_of_its_labels(kind: str) -> None:
    facts = TYPES[kind]
    for label, values in facts.labels.items():
        for value in values:
            finding = only("GPUs", nodes=[Node("a", {label: value}, {facts.resource: 4}, True)], claims=[])
            assert (finding.verdict, finding.message) == ("Ok", f"{kind}: 4 on 1 node, 4 free")


def gpu_class(name: str, *types: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name}
    spec = {"gpuTypes": list(types)}
    return {"apiVersion": names.API_VERSION, "kind": names.CLASS_KIND, "metadata": metadata, "spec": spec}


B300 = {"name": "B300", "nodeLabels": {PRODUCT: ["NVIDIA-B300"]}}


def test_a_type_that_classes_add() -> None:
    there = [gpu_node("a", "NVIDIA-B300", 8), gpu_node("b", "NVIDIA-L4", 1)]
    known_type, unknown_type = findings("GPUs", nodes=there, claims=[])
    assert (known_type.verdict, unknown_type.verdict) == ("Ok", "Warning")
    assert "spec.gpuTypes of an LLMPipelineClass" in unknown_type.remedy
    found = findings("GPUs", nodes=there, claims=[], classes=[gpu_class("usual", B300)])
    assert [finding.message for finding in found] == [
        "B300: 8 on 1 node, 8 free; for pipelines of class usual",
        "L4: 1 on 1 node, 1 free",
    ]
    classes = [gpu_class("usual", B300), gpu_class("other", B300)]
    found = findings("GPUs", nodes=there, claims=[], classes=classes)
    assert found[0].message.endswith("; for pipelines of classes usual, other")
    assert {finding.verdict for finding in found} == {"Ok"}


def test_a_class_with_other_labels_of_a_built_in_type() -> None:
    own = Node("a", {"example.com/gpu": "l4"}, {GPU: 2}, True)
    l4 = {"name": "L4", "nodeLabels": {"example.com/gpu": ["l4"]}}
    assert only("GPUs", nodes=[own], claims=[]).verdict == "Warning"
    finding = only("GPUs", nodes=[own], claims=[], classes=[gpu_class("usual", l4)])
    assert (finding.verdict, finding.message) == ("Ok", "L4: 2 on 1 node, 2 free; for pipelines of class usual")


def test_a_resource_that_a_class_names() -> None:
    given = {"name": "X1", "resource": "example.com/gpu", "nodeLabels": {"example.com/gpu": ["x1"]}}
    types = known([gpu_class("usual", given)])
    manifest = node_manifest()
    manifest["metadata"]["labels"] = {"example.com/gpu": "x1"}
    manifest["status"]["allocatable"] = {"example.com/gpu": "4"}
    assert nodes.node(manifest).gpus == {}
    read = nodes.node(manifest, types)
    pod = {"spec": {"nodeName": "a", "containers": [{"resources": {"limits": {"example.com/gpu": "3"}}}]}}
    claims = [nodes.claim(pod, types)]
    finding = only("GPUs", nodes=[read], claims=claims, classes=[gpu_class("usual", given)])
    assert (finding.verdict, finding.message) == ("Ok", "X1: 4 on 1 node, 1 free; for pipelines of class usual")
    down = Node("b", {"example.com/gpu": "x1"}, {}, True)
    other = Node("c", {"example.com/gpu": "of-others"}, {}, True)
    found = findings("GPUs", nodes=[read, down, other], claims=[], classes=[gpu_class("usual", given)])
    assert found[-1].message == "labelled with a GPU, but offering none: b"


def test_classes_that_no_pipeline_can_have_add_no_types() -> None:
    wrong = gpu_class("usual", {**B300, "nodeLabels": {"a b": ["c"], PRODUCT: ["NVIDIA-B300"]}})
    for there in ([wrong], [gpu_class("usual", {"name": "B300"})], [{}]):
        assert only("GPUs", nodes=[gpu_node("a", "NVIDIA-B300", 8)], claims=[], classes=there).verdict == "Warning"


def test_classes_that_may_not_be_read() -> None:
    unread = Unread("classes are forbidden")
    finding = only("GPUs", nodes=[gpu_node("a", "NVIDIA-B300", 8)], claims=[], classes=unread)
    assert finding.verdict == "Warning"
    assert "unless a class adds the type: classes are forbidden" in finding.message
    assert only("GPUs", nodes=[gpu_node("a", "NVIDIA-L4", 8)], claims=[], classes=unread).verdict == "Ok"


def test_a_node_whose_device_plugin_is_down() -> None:
    found = findings("GPUs", nodes=[gpu_node("a", "NVIDIA-L4", 1), gpu_node("b", "NVIDIA-L4", 0)], claims=[])
    assert found[-1].verdict == "Warning"
    assert found[-1].message == "labelled with a GPU, but offering none: b"


def node_manifest(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "a", "labels": {PRODUCT: "NVIDIA-L4"}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "8", "memory": "64Gi", GPU: "1k", "amd.com/gpu": "0"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def test_reading_a_node() -> None:
    assert nodes.node(node_manifest()) == Node("a", {PRODUCT: "NVIDIA-L4"}, {GPU: 1000}, True)
    assert not nodes.node(node_manifest(unschedulable=True)).usable
    silent = node_manifest()
    silent["status"] = {}
    silent["metadata"].pop("labels")
    assert nodes.node(silent) == Node("a", {}, {}, False)


def container(count: int, **more: Any) -> dict[str, Any]:
    return {"resources": {"limits": {GPU: str(count), "cpu": "1"}, "requests": {GPU: str(count)}}, **more}


@pytest.mark.parametrize(
    ("containers", "inits", "taken"),
    [
        ([container(1), container(2)], [], {GPU: 3}),
        ([container(1)], [container(4), container(2)], {GPU: 4}),
        ([container(3)], [container(2)], {GPU: 3}),
        ([container(1)], [container(1, restartPolicy="Always")], {GPU: 2}),
        ([{"resources": {"limits": {GPU: "2"}}}], [], {GPU: 2}),
        ([{"resources": {}}, {}], [], {}),
    ],
)
def test_reading_a_pod(containers: Any, inits: Any, taken: dict[str, int]) -> None:
    spec = {"nodeName": "a", "containers": containers, "initContainers": inits}
    assert nodes.claim({"spec": spec}) == Claim("a", taken)


@pytest.mark.parametrize(
    ("classes", "verdict", "said"),
    [
        (None, "Warning", "not installed: upgrade strategy Incremental and network.httpRoute need it"),
        ([], "Warning", "no GatewayClass"),
        (["istio", "gke"], "Ok", "istio, gke"),
    ],
)
def test_gateway(classes: Sequence[str] | None, verdict: str, said: str) -> None:
    finding = only("Gateway API", gateway_classes=classes)
    assert finding.verdict == verdict
    assert said in finding.message


def test_no_prometheus_operator() -> None:
    finding = only("Prometheus operator", pod_monitors=False)
    assert finding.verdict == "Warning"
    assert "monitoring.podMonitor needs it" in finding.message


def test_rights_that_the_operator_cannot_do_without() -> None:
    missing = [(right, verb) for right in RIGHTS for verb in right.verbs if verb == "patch"]
    needed, optional = findings("Rights", missing_rights=missing, user="system:serviceaccount:a:b", namespace="ml")
    assert needed.verdict == "Problem"
    assert needed.message == (
        "system:serviceaccount:a:b may not, in ml: patch llmpipelines.serving.llmpipeline.dev/status; "
        "patch rayservices.ray.io"
    )
    assert "--as" not in needed.remedy
    assert optional.verdict == "Warning"
    assert "patch ingresses.networking.k8s.io (network.ingress)" in optional.message


def test_rights_of_somebody_who_is_not_the_operator() -> None:
    finding = only("Rights", missing_rights=[(RIGHTS[0], "watch"), (RIGHTS[0], "list")])
    assert "watch, list llmpipelines.serving.llmpipeline.dev" in finding.message
    assert "in all namespaces" in finding.message
    assert "--as system:serviceaccount" in finding.remedy


def test_no_right_to_read_secrets_is_asked_for() -> None:
    assert not {right.resource for right in RIGHTS} & {"secrets", "configmaps"}
    assert {verb for right in READ_PODS for verb in right.verbs} == {"list", "watch"}
    assert len({(right.group, right.resource) for right in RIGHTS}) == len(RIGHTS)


class TestCommand:
    """The command's output and exit codes, without a cluster."""

    @staticmethod
    def run(monkeypatch: pytest.MonkeyPatch, found: list[Finding], *args: str, color: bool = False) -> Any:
        monkeypatch.setattr(command, "examine", lambda namespace, user, context: found)
        return CliRunner().invoke(main, ["doctor", *args], color=color)

    def test_a_table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = [Finding("Kubernetes", "Ok", "v1.34.1"), Finding("GPUs", "Problem", "broken", "mend it")]
        ended = self.run(monkeypatch, found)
        assert ended.exit_code == 1
        assert ended.output == (
            "ok       Kubernetes  v1.34.1\nPROBLEM  GPUs        broken\n                     -> mend it\n"
        )

    def test_colours_where_they_are_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = [Finding("GPUs", "Warning", "few"), Finding("Rights", "Unknown", "?")]
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert "\x1b[33mwarn" in self.run(monkeypatch, found, color=True).output
        assert "\x1b" not in self.run(monkeypatch, found).output
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b" not in self.run(monkeypatch, found, color=True).output

    def test_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended = self.run(monkeypatch, [Finding("GPUs", "Unknown", "?", "ask")], "-o", "json")
        assert ended.exit_code == 0
        assert json.loads(ended.output) == [{"check": "GPUs", "verdict": "Unknown", "message": "?", "remedy": "ask"}]

    @pytest.mark.parametrize("check", ["LLMPipeline CRD", "KubeRay CRD"])
    def test_a_crd_that_may_not_be_read_is_no_success(self, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
        found = [Finding("Kubernetes", "Ok", "v1.34.1"), Finding(check, "Unknown", "cannot be read: forbidden")]
        assert self.run(monkeypatch, found).exit_code == 1

    def test_no_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def examine(namespace: str | None, user: str | None, context: str | None) -> list[Finding]:
            raise Unreachable("the cluster cannot be reached: no")

        monkeypatch.setattr(command, "examine", examine)
        ended = CliRunner().invoke(main, ["doctor"])
        assert (ended.exit_code, ended.stderr) == (3, "the cluster cannot be reached: no\n")
        assert ended.stdout == ""

    def test_help_has_examples(self) -> None:
        ended = CliRunner().invoke(main, ["doctor", "--help"])
        assert "llmpipeline doctor --as system:serviceaccount:" in ended.output
