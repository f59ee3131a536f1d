"""The chart on a real cluster: installed, used, upgraded, broken and taken away. Needs KubeRay's CRDs, and no Ray Pod.

The pipelines here are suspended: KubeRay, where it is, takes their RayServices and makes no Pod.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from llmpipeline.names import GROUP
from llmpipeline.rights import RIGHTS
from support.e2e.installation import ACCOUNT, NAMESPACE, RELEASE, RESTRICTED, Images, Installation, note
from support.e2e.kubectl import LLMP, CommandError, Kube, Manifest, until
from support.repository import SAMPLES

BURST = 40
ELSEWHERE = "e2e-elsewhere"


def pipeline(name: str, namespace: str, **spec: Any) -> Manifest:
    document: Manifest = yaml.safe_load((SAMPLES / "hello.yaml").read_text())
    document["metadata"] = {"name": name, "namespace": namespace}
    document["spec"] |= {"suspend": True, **spec}
    return document


def generations(kube: Kube, namespace: str) -> dict[str, int]:
    """What says whether somebody changed a RayService: its UID and its generation."""
    return {item["metadata"]["uid"]: item["metadata"]["generation"] for item in kube.list("rayservices", namespace)}


def served(kube: Kube, namespace: str, *names: str) -> bool:
    """Whether each of these pipelines has its RayService, and says so."""
    found = {item["metadata"]["name"]: item.get("status", {}) for item in kube.list(LLMP, namespace)}
    return all(
        any(it["type"] == "Applied" and it["status"] == "True" for it in found.get(name, {}).get("conditions", ()))
        for name in names
    )


def burst_services(kube: Kube, namespace: str) -> set[str]:
    return {name for it in kube.list("rayservices", namespace) if (name := it["metadata"]["name"]).startswith("burst")}


@pytest.fixture
def elsewhere(kube: Kube) -> Iterator[str]:
    """A second namespace, for what must not work there."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE, "labels": RESTRICTED}})
    yield ELSEWHERE
    kube.delete(LLMP, "--all", ELSEWHERE, "--cascade=foreground")
    kube.delete("namespace", ELSEWHERE)


def test_two_operators_are_ready_and_one_works(installation: Installation) -> None:
    assert len(installation.pods()) == 2
    assert installation.leader() in installation.pods()


def test_a_pipeline_is_taken_and_its_rayservice_made(kube: Kube, installation: Installation, namespace: str) -> None:
    kube.apply(pipeline("taken", namespace))
    kube.wait_for("taken", namespace, "Applied", "True")
    service = kube.get("rayservice", "taken", namespace)
    assert service
    assert service["metadata"]["ownerReferences"][0]["kind"] == "LLMPipeline"


def test_a_wrong_pipeline_is_refused_by_the_api_server(kube: Kube, installation: Installation, namespace: str) -> None:
    with pytest.raises(CommandError, match="give replicas or autoscaling, not both"):
        kube.apply(
            pipeline(
                "wrong", namespace, apps=[{"name": "a", "hello": {"replicas": 1, "autoscaling": {"maxReplicas": 2}}}]
            )
        )
    with pytest.raises(CommandError, match='unknown field "upgrde"'):
        kube.apply(pipeline("wrong", namespace, upgrde={}))
    assert kube.get(LLMP, "wrong", namespace) is None


def test_a_spec_that_cannot_work_says_so_in_a_condition(kube: Kube, installation: Installation, namespace: str) -> None:
    small = [{"name": "small", "maxReplicas": 1, "resources": {"cpus": 1, "memory": "2Gi"}}]
    apps = [{"name": "hello", "hello": {"resources": {"cpus": 4}}}]
    kube.apply(pipeline("too-large", namespace, workers=small, apps=apps))
    found = kube.wait_for("too-large", namespace, "Accepted", "False", "DoesNotFit")
    assert "4 CPUs" in found["message"]


def test_helm_test_passes(kube: Kube, installation: Installation) -> None:
    assert "Phase:          Succeeded" in kube.helm("test", RELEASE, "-n", NAMESPACE, "--timeout", "120s")


def test_it_may_do_what_it_does_and_no_more(kube: Kube, installation: Installation, namespace: str) -> None:
    def may(verb: str, group: str, resource: str) -> bool:
        resource, _, subresource = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": ACCOUNT, "resourceAttributes": asked},
        }
        answer = json.loads(kube.kubectl("create", "-f", "-", "-o", "json", given=json.dumps(review)))
        return bool(answer["status"]["allowed"])

    for right in RIGHTS:
        for verb in right.verbs:
            assert may(verb, right.group, right.resource), f"{verb} {right.target}"
    for verb, group, resource in (
        ("get", "", "secrets"), ("list", "", "secrets"), ("get", "", "pods/log"), ("delete", "", "pods"),
        ("create", "", "pods/exec"), ("get", "", "configmaps"), ("delete", "ray.io", "rayservices"),
        ("update", GROUP, "llmpipelines"),
        ("delete", GROUP, "llmpipelines"), ("create", "rbac.authorization.k8s.io", "clusterroles"),
        ("update", "coordination.k8s.io", "leases"), ("impersonate", "", "users"),
    ):  # fmt: skip
        assert not may(verb, group, resource), f"{verb} {resource}"


def test_no_call_of_it_was_forbidden(installation: Installation) -> None:
    """After all that the tests above made it do."""
    said = installation.logs()
    assert "operator ready" in said
    assert not [line for line in said.splitlines() if "orbidden" in line or " 403" in line]


def test_when_the_one_that_works_is_deleted_the_other_works(kube: Kube, installation: Installation) -> None:
    former = installation.leader()
    began = time.monotonic()
    kube.delete("pod", former, NAMESPACE, "--wait=false")
    until(lambda: installation.leader() not in ("", former), 60, "the other to hold the Lease", interval=0.1)
    note(f"leading operator deleted (SIGTERM): the other held the Lease after {time.monotonic() - began:.1f} s")
    until(lambda: len(installation.pods()) == 2, 60, "two operators")


def test_deleted_amid_its_work_nothing_is_lost(kube: Kube, installation: Installation, namespace: str) -> None:
    names = [f"burst-{number}" for number in range(BURST)]
    former = installation.leader()
    with ThreadPoolExecutor() as background:
        applied = background.submit(kube.apply, *(pipeline(name, namespace) for name in names))
        until(lambda: len(burst_services(kube, namespace)) > BURST // 8, 60, "some RayServices", interval=0)
        before = len(burst_services(kube, namespace))
        assert before < BURST
        kube.delete("pod", former, NAMESPACE, "--force", "--grace-period=0", "--wait=false")
        began = time.monotonic()
        applied.result()
    until(lambda: served(kube, namespace, *names), 120, f"{BURST} RayServices")
    took = time.monotonic() - began
    note(f"leading operator killed after {before} of {BURST} new pipelines: the others were served {took:.1f} s later")
    assert burst_services(kube, namespace) == set(names)
    until(lambda: len(installation.pods()) == 2, 60, "two operators")


def test_a_second_install_is_refused_and_leaves_nothing(kube: Kube, installation: Installation, elsewhere: str) -> None:
    with pytest.raises(CommandError, match=f"belongs to the release {NAMESPACE}/{RELEASE}; upgrade that one"):
        installation.install(release="second", namespace=elsewhere)
    with pytest.raises(CommandError, match=f"the release {NAMESPACE}/{RELEASE} watches all namespaces"):
        installation.install("crds.enabled=false", release="second", namespace=elsewhere)
    assert kube.helm("list", "-A", "-a", "-q", "-f", "second") == ""
    assert not kube.list("deployments", elsewhere)
    assert not [it for it in kube.list("clusterroles") if it["metadata"]["name"].startswith("second")]


def test_wrong_values_are_refused(kube: Kube, installation: Installation) -> None:
    with pytest.raises(CommandError, match=r"replica.* not allowed"):
        installation.install("replica=3", command="upgrade")


def test_an_upgrade_changes_no_rayservice(kube: Kube, installation: Installation, namespace: str) -> None:
    before = generations(kube, namespace)
    former = set(installation.pods())
    installation.install("podAnnotations.changed=yes", command="upgrade")
    until(lambda: len(set(installation.pods()) - former) == 2, 120, "two new operators")
    kube.apply(pipeline("after-upgrade", namespace))
    kube.wait_for("after-upgrade", namespace, "Applied", "True")
    after = generations(kube, namespace)
    assert before.items() <= after.items()


def test_uninstalled_it_leaves_pipelines_and_what_runs(
    kube: Kube, installation: Installation, images: Images, namespace: str, elsewhere: str
) -> None:
    """And an install that cannot work can be taken away; one for chosen namespaces keeps to them."""
    before = generations(kube, namespace)
    pipelines = {item["metadata"]["uid"] for item in kube.list(LLMP, namespace)}
    installation.uninstall()
    try:
        until(lambda: not kube.list("all", NAMESPACE), 60, "the operators to be gone")
        assert {item["metadata"]["uid"] for item in kube.list(LLMP, namespace)} == pipelines
        assert generations(kube, namespace) == before

        with pytest.raises(CommandError, match=r"not ready|deadline|timed out"):
            Installation(kube, f"{images.operator}-of-nobody").install(seconds=15)
        reasons = kube.kubectl("get", "pods", "-n", NAMESPACE, "-o", "jsonpath={..waiting.reason}")
        assert "ImagePull" in reasons or "ErrImage" in reasons
        installation.uninstall()
        until(lambda: not kube.list("all", NAMESPACE), 60, "the operators to be gone")
        assert not _made_by_the_chart(kube)

        _only_in(kube, installation, elsewhere, namespace)
        installation.uninstall()
    finally:
        installation.install(command="upgrade")
    until(lambda: len(installation.pods()) == 2, 60, "two operators")
    kube.apply(pipeline("after-all", namespace))
    kube.wait_for("after-all", namespace, "Applied", "True")
    assert before.items() <= generations(kube, namespace).items()


def _only_in(kube: Kube, installation: Installation, watched: str, other: str) -> None:
    """An operator for one namespace serves that one, and has no right on the cluster."""
    installation.install(f"watchNamespaces={{{watched}}}", "replicas=1")
    assert not [item for item in _made_by_the_chart(kube) if item.startswith("Cluster")]
    kube.apply(pipeline("inside", watched), pipeline("outside", other))
    kube.wait_for("inside", watched, "Applied", "True")
    time.sleep(3)
    assert "conditions" not in (kube.get(LLMP, "outside", other) or {})["status"]
    assert not [line for line in installation.logs().splitlines() if "ERROR" in line]


def _made_by_the_chart(kube: Kube) -> list[str]:
    """What has no namespace, or stands in one that is not the chart's own; but for the CRD, which is kept."""
    kinds = "clusterroles,clusterrolebindings,roles,rolebindings,validatingadmissionpolicies"
    found = kube.kubectl("get", kinds, "-A", "-l", "app.kubernetes.io/name=llmpipeline-operator", "-o", "name")
    return found.split()
