"""Every sample on a real API server: ours takes the pipeline, KubeRay its RayService, Pod security its Pods."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from support import repository
from support.control_plane import Admin, eventually
from support.pipelines import desired_of

API, PLURAL = "serving.llmpipeline.dev/v1alpha1", "llmpipelines"
SAMPLES = sorted(repository.SAMPLES.glob("*.yaml"))
PLURALS = {
    "RayService": "rayservices",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Ingress": "ingresses",
}
# Their CRDs are not installed here.
ELSEWHERE = {"PodMonitor", "PrometheusRule", "HTTPRoute"}


def rendered(sample: Path, namespace: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    document = yaml.safe_load(sample.read_text())
    document["metadata"]["namespace"] = namespace
    return document, list(desired_of(document).manifests)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_api_server_takes_it_whole(sample: Path, admin: Admin, namespace: str) -> None:
    """Strict field validation: a field that a CRD does not know is an error and not dropped."""
    document, made = rendered(sample, namespace)
    admin.create(API, PLURAL, document)
    for manifest in made:
        if manifest["kind"] in ELSEWHERE:
            continue
        stored = admin.apply(manifest["apiVersion"], PLURALS[manifest["kind"]], manifest, field_manager="test")
        # Applied once more, it changes nothing: nothing that the server fills in is fought over.
        again = admin.apply(manifest["apiVersion"], PLURALS[manifest["kind"]], manifest, field_manager="test")
        assert again["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


@pytest.fixture(scope="module")
def restricted(admin: Admin) -> str:
    """A namespace that enforces the restricted Pod security standard, with the service accounts that samples name."""
    name = admin.create_namespace("restricted")
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    admin.merge_patch("v1", "namespaces", None, name, labels)
    for account in ("default", "reads-adapters"):
        metadata = {"name": account, "namespace": name}
        admin.create("v1", "serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    return name


def dry_run(admin: Admin, namespace: str, template: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "pod", "namespace": namespace}
    # KubeRay names one for the head, and elsewhere an admission plugin that this API server lacks; a token needs it.
    pod["spec"] = {"serviceAccountName": "default", **template["spec"]}
    admin.request("POST", f"/api/v1/namespaces/{namespace}/pods", {"dryRun": "All", "fieldValidation": "Strict"}, pod)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_its_pods_are_within_the_restricted_standard(sample: Path, admin: Admin, restricted: str) -> None:
    *_, service = rendered(sample, restricted)[1]
    cluster = service["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        dry_run(admin, restricted, group["template"])


def test_that_standard_is_enforced_here(admin: Admin, restricted: str) -> None:
    *_, service = rendered(SAMPLES[0], restricted)[1]
    template = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
    del template["spec"]["securityContext"]

    def refused() -> bool:
        try:
            dry_run(admin, restricted, template)
        except Exception as error:
            return "violates PodSecurity" in str(error)
        return False

    assert eventually(refused, 5, "a Pod without a security context to be refused")
