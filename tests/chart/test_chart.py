"""The Helm chart, rendered by helm: what it grants, what it refuses, and that a security team finds nothing."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from llmpipeline import names
from llmpipeline.classes import check
from llmpipeline.classes.choose import is_default
from llmpipeline.rights import RIGHTS
from support.control_plane.assets import helm
from support.repository import CHART, ROOT

OPERATOR_ROLES = ("op-llmpipeline", "op-llmpipeline-lease")


def run(*arguments: str, version: str = "1.34.0") -> subprocess.CompletedProcess[str]:
    command = [str(helm()), "template", "op", str(CHART), "-n", "system", "--kube-version", version, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def render(*settings: str) -> list[dict[str, Any]]:
    done = run(*(part for setting in settings for part in ("--set", setting)))
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in manifests if item["kind"] == kind}


def test_helm_finds_no_fault() -> None:
    done = subprocess.run([str(helm()), "lint", "--strict", str(CHART)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_operator_may_do_what_it_does_and_no_more() -> None:
    manifests = render()
    (role,) = [item for name, item in of_kind(manifests, "ClusterRole").items() if name == "op-llmpipeline"]
    granted = {(rule["apiGroups"][0], rule["resources"][0], tuple(rule["verbs"])) for rule in role["rules"]}
    assert granted == {(right.group, right.resource, right.verbs) for right in RIGHTS}
    rules = [
        rule
        for kind in ("Role", "ClusterRole")
        for name, item in of_kind(manifests, kind).items()
        if name in OPERATOR_ROLES
        for rule in item["rules"]
    ]
    for rule in rules:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        assert not {"secrets", "pods/exec", "pods/log", "roles", "rolebindings"} & set(rule["resources"])


def test_reading_pods_can_be_switched_off() -> None:
    for settings in ((), ("watchNamespaces={ml}",)):
        roles = [it for it in render("readPods=false", *settings) if it["metadata"]["name"] == "op-llmpipeline"]
        rules = [rule for role in roles for rule in role.get("rules", ())]
        assert "rayservices" in {resource for rule in rules for resource in rule["resources"]}
        assert not [rule for rule in rules if "" in rule["apiGroups"]], "Pods and events are of the core group"


def test_for_chosen_namespaces_it_gets_no_right_on_the_cluster() -> None:
    manifests = render("watchNamespaces={ml,search}")
    assert of_kind(manifests, "ClusterRole") == {}
    assert of_kind(manifests, "ClusterRoleBinding") == {}
    roles = [item for item in manifests if item["kind"] == "Role" and item["metadata"]["name"] == "op-llmpipeline"]
    assert {role["metadata"]["namespace"] for role in roles} == {"ml", "search"}
    (deployment,) = of_kind(manifests, "Deployment").values()
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[-2:] == ["--namespace=ml", "--namespace=search"]


def test_who_may_edit_or_view_a_namespace_may_do_so_with_its_pipelines() -> None:
    roles = of_kind(render(), "ClusterRole")
    joins = {name: set(item["metadata"]["labels"]) for name, item in roles.items()}
    assert "rbac.authorization.k8s.io/aggregate-to-edit" in joins["op-llmpipeline-edit"]
    assert "rbac.authorization.k8s.io/aggregate-to-view" in joins["op-llmpipeline-view"]
    assert roles["op-llmpipeline-view"]["rules"][0]["verbs"] == ["get", "list", "watch"]
    chosen = [item["metadata"] for item in render("watchNamespaces={ml}") if item["kind"] == "Role"]
    assert ("op-llmpipeline-edit", "ml") in [(item["name"], item["namespace"]) for item in chosen]


def test_the_pod_of_helm_test_is_not_taken_for_an_operator() -> None:
    done = run()
    (pod,) = [item for item in yaml.safe_load_all(done.stdout) if item and item["kind"] == "Pod"]
    (service,) = of_kind(render(), "Service").values()
    assert not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def test_its_pods_are_restricted() -> None:
    (deployment,) = of_kind(render(), "Deployment").values()
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 10000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert deployment["spec"]["replicas"] == 2


def test_its_token_is_valid_for_an_hour() -> None:
    """3607 is the one number of seconds that API servers extend to a year."""
    (deployment,) = of_kind(render(), "Deployment").values()
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    sources = [source for volume in volumes for source in volume.get("projected", {}).get("sources", ())]
    (token,) = [source["serviceAccountToken"] for source in sources if "serviceAccountToken" in source]
    assert token["expirationSeconds"] == 3600


def test_who_may_reach_its_port() -> None:
    (policy,) = of_kind(render(), "NetworkPolicy").values()
    assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
    setting = "networkPolicy.from[0].namespaceSelector.matchLabels.team=monitoring"
    (policy,) = of_kind(render(setting), "NetworkPolicy").values()
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]


@pytest.mark.parametrize(("settings", "namespace"), [((), "kuberay"), (("kuberayNamespace=ray-system",), "ray-system")])
def test_where_kuberay_is(settings: tuple[str, ...], namespace: str) -> None:
    (deployment,) = of_kind(render(*settings), "Deployment").values()
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert f"--kuberay-namespace={namespace}" in arguments


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("crds.enabled=false", "CustomResourceDefinition"),
        ("podDisruptionBudget.enabled=false", "PodDisruptionBudget"),
        ("replicas=1", "PodDisruptionBudget"),
        ("networkPolicy.enabled=false", "NetworkPolicy"),
    ],
)
def test_what_can_be_switched_off(setting: str, kind: str) -> None:
    assert of_kind(render(), kind)
    assert not of_kind(render(setting), kind)


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("serviceMonitor.enabled=true", "ServiceMonitor"),
        ("prometheusRule.enabled=true", "PrometheusRule"),
        ("dashboards.enabled=true", "ConfigMap"),
        ("admissionPolicy.enabled=true", "ValidatingAdmissionPolicy"),
    ],
)
def test_what_can_be_switched_on(setting: str, kind: str) -> None:
    assert not of_kind(render(), kind)
    assert of_kind(render(setting), kind)


def test_the_metrics_of_a_pipeline_keep_its_namespace() -> None:
    (monitor,) = of_kind(render("serviceMonitor.enabled=true"), "ServiceMonitor").values()
    assert [endpoint["honorLabels"] for endpoint in monitor["spec"]["endpoints"]] == [True]


def test_dashboards_come_as_the_sidecar_finds_them() -> None:
    files = {path.name: path.read_text() for path in (ROOT / "manifests" / "monitoring" / "dashboards").iterdir()}
    made = of_kind(render("dashboards.enabled=true"), "ConfigMap").values()
    assert {f"llmpipeline-{name}": text for name, text in files.items()} == {
        name: text for item in made for name, text in item["data"].items()
    }
    assert all(item["metadata"]["labels"]["grafana_dashboard"] == "1" for item in made)


def test_alerts_link_to_where_the_runbooks_are() -> None:
    (plain,) = of_kind(render("prometheusRule.enabled=true"), "PrometheusRule").values()
    rules = yaml.safe_load((ROOT / "manifests" / "monitoring" / "alert-rules.yaml").read_text())
    assert plain["spec"] == rules
    (linked,) = of_kind(
        render("prometheusRule.enabled=true", "prometheusRule.runbooks=https://wiki.example.com/llmp/"),
        "PrometheusRule",
    ).values()
    links = [rule["annotations"]["runbook_url"] for group in linked["spec"]["groups"] for rule in group["rules"]]
    assert all(link.startswith("https://wiki.example.com/llmp/") for link in links)


def test_the_crd_outlives_the_chart() -> None:
    crds = of_kind(render(), "CustomResourceDefinition").values()
    assert len(crds) == 2
    assert {crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in crds} == {"keep"}


def test_a_digest_takes_the_place_of_the_tag() -> None:
    digest = f"sha256:{'0' * 64}"
    (deployment,) = of_kind(render(f"image.digest={digest}"), "Deployment").values()
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"llmpipeline/operator@{digest}"


def test_it_renders_without_a_cluster_that_has_kuberay() -> None:
    """As GitOps controllers do: they know the cluster's API versions and look nothing up."""
    assert run("--api-versions", "ray.io/v1/RayService").returncode == 0


def test_values_of_an_older_release_are_enough() -> None:
    """As helm upgrade --reuse-values gives them."""
    assert run("--set", "preflight=null,dashboards=null,prometheusRule=null").returncode == 0


def test_the_pod_of_helm_test_runs_where_the_operator_does() -> None:
    done = run("--set", "imagePullSecrets[0].name=registry,nodeSelector.pool=system,tolerations[0].key=system")
    pods = [item["spec"] for item in yaml.safe_load_all(done.stdout) if item and item["kind"] == "Pod"]
    pods += [
        item["spec"]["template"]["spec"]
        for item in yaml.safe_load_all(done.stdout)
        if item and item["kind"] == "Deployment"
    ]
    assert len(pods) == 2
    for pod in pods:
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["nodeSelector"] == {"pool": "system"}
        assert pod["tolerations"] == [{"key": "system"}]


def test_its_policy_keeps_to_the_namespaces_that_it_watches() -> None:
    (binding,) = of_kind(
        render("admissionPolicy.enabled=true", "watchNamespaces={ml}"), "ValidatingAdmissionPolicyBinding"
    ).values()
    (where,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert where == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["ml"]}


@pytest.mark.parametrize("release", ["12.5", "a.b"])
def test_names_that_helm_takes_and_a_service_does_not(release: str) -> None:
    command = [str(helm()), "template", release, str(CHART), "--kube-version", "1.34.0"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (service,) = of_kind([item for item in yaml.safe_load_all(done.stdout) if item], "Service").values()
    assert re.fullmatch(r"[a-z][-a-z0-9]*", service["metadata"]["name"])
    assert service["spec"]["selector"]["app.kubernetes.io/instance"] == release


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("admissionPolicy.images={a.example/b}", "admissionPolicy/images"),
        ("replica=3", "'replica' not allowed"),
        ("image.tga=1", "'tga' not allowed"),
        ("replicas=0", "replicas"),
        ("image.digest=abc", "digest"),
        ("watchNamespaces={Not_A_Name}", "watchNamespaces"),
        # What the API server would drop without a word, so that all pipelines had the built-in defaults.
        ("defaultClass.spec.ray.verzion=2.60.0", "'verzion' not allowed"),
        ("defaultClass.spec.ray.images.cpu.name=c", "images/cpu"),
    ],
)
def test_wrong_values_are_refused(setting: str, says: str) -> None:
    done = run("--set", setting)
    assert done.returncode != 0
    assert says in done.stderr


def test_a_cluster_too_old_is_refused() -> None:
    done = run(version="1.29.4")
    assert done.returncode != 0
    assert "kubeVersion: >=1.30.0" in done.stderr


def test_the_longest_release_name_is_taken() -> None:
    command = [str(helm()), "template", "r" * 53, str(CHART), "--kube-version", "1.34.0"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for item in yaml.safe_load_all(done.stdout):
        if item:
            assert len(item["metadata"]["name"]) <= 63


def test_classes_are_read_and_written_by_nobody_but_administrators() -> None:
    roles = of_kind(render(), "ClusterRole")
    verbs = {
        name: rule["verbs"]
        for name, role in roles.items()
        for rule in role["rules"]
        if "llmpipelineclasses" in rule["resources"]
    }
    assert verbs == {name: ["get", "list", "watch"] for name in ("op-llmpipeline", "op-llmpipeline-classes")}
    labels = roles["op-llmpipeline-classes"]["metadata"]["labels"]
    assert labels["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    chosen = [rule for item in render("watchNamespaces={ml}") if item["kind"] == "Role" for rule in item["rules"]]
    assert "llmpipelineclasses" not in {resource for rule in chosen for resource in rule["resources"]}


def test_the_default_class_is_sound_and_there_if_it_is_asked_for() -> None:
    assert of_kind(render(), names.CLASS_KIND) == {}
    images = ("cpu=registry.example/c:1", "gpu=registry.example/g:1")
    settings = [f"defaultClass.spec.ray.images.{image}" for image in images]
    made = render("defaultClass.create=true", "defaultClass.spec.ray.version=2.60.0", *settings)
    (found,) = of_kind(made, names.CLASS_KIND).values()
    assert list(check.problems(found)) == []
    assert is_default(found)
    assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
