"""A real cluster, the chart in it, and where it can be had real KubeRay.

    make e2e                                       on the cluster of KUBECONFIG
    E2E_KUBECONFIG=FILE make test                  with all other tests

The images must be where the cluster finds them: `hack/kind.sh cluster` makes a cluster that has them. KUBERAY_CHART and
KUBERAY_IMAGE name KubeRay's chart and the image of its operator; else the chart comes from KubeRay's public repository.
Where it cannot be had, what needs Ray Pods is skipped and says so.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.e2e.installation import NAMESPACE, RELEASE, RESTRICTED, Images, Installation, note
from support.e2e.kubectl import LLMP, CommandError, Kube, until
from support.e2e.serving import Client, make_code
from support.kuberay.crds import kuberay_crds
from support.repository import ROOT

KUBERAY_VALUES = ROOT / "hack" / "kuberay-values.yaml"
KUBERAY_VERSION = "1.7.0"
KUBERAY_REPOSITORY = "https://ray-project.github.io/kuberay-helm/"


@pytest.fixture(scope="session")
def images() -> Images:
    return Images()


@pytest.fixture(scope="session")
def kube() -> Kube:
    """The cluster, which must not have the operator yet."""
    named = os.environ.get("E2E_KUBECONFIG")
    if not named:
        pytest.skip("no cluster to use: set E2E_KUBECONFIG, or run `make e2e` on the cluster of KUBECONFIG")
    cluster = Kube(Path(named))
    cluster.kubectl("version", seconds=30)
    if cluster.helm("list", "-A", "-q", "-f", f"^{RELEASE}$").split():
        pytest.fail(f"the cluster has the operator already: helm uninstall {RELEASE} -n {NAMESPACE}", pytrace=False)
    return cluster


@pytest.fixture(scope="session")
def kuberay(kube: Kube) -> str:
    """Brings KubeRay where it can be had. Returns why not, or nothing; its CRDs are there in any case."""
    if found := kube.list("deployments", "", "app.kubernetes.io/name=kuberay-operator"):
        assert found[0]["status"].get("availableReplicas"), "the KubeRay that is in the cluster does not run"
        return ""
    public = ["kuberay-operator", "--repo", KUBERAY_REPOSITORY, "--version", KUBERAY_VERSION]
    named = os.environ.get("KUBERAY_CHART")
    repository, _, tag = os.environ.get("KUBERAY_IMAGE", "").rpartition(":")
    image = ["--set", f"image.repository={repository},image.tag={tag}"] if tag else []
    where = ["-n", "kuberay", "--create-namespace", "-f", str(KUBERAY_VALUES), *image]
    began = time.monotonic()
    try:
        chart = [named] if named else public
        kube.helm("install", "kuberay-operator", *chart, *where, "--wait", "--timeout", "180s")
    except CommandError as error:
        kube.helm("uninstall", "kuberay-operator", "-n", "kuberay", "--ignore-not-found")
        if named:
            raise
        if kube.get("crd", "rayservices.ray.io") is None:  # helm leaves those of a chart that it takes away
            kube.kubectl("apply", "--server-side", "-f", str(kuberay_crds().directory))
        said = str(error).strip().splitlines()[-1]
        return f"KubeRay cannot be had here: set KUBERAY_CHART and KUBERAY_IMAGE ({said})"
    note(f"KubeRay {KUBERAY_VERSION} ready {time.monotonic() - began:.1f} s after helm install")
    return ""


@pytest.fixture(scope="session")
def installation(kube: Kube, kuberay: str, images: Images) -> Iterator[Installation]:
    """The operator, installed as the README says, in a namespace that enforces the restricted Pod security standard."""
    made = kube.get("namespace", NAMESPACE) is None
    metadata = {"name": NAMESPACE, "labels": RESTRICTED}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    chart = Installation(kube, images.operator)
    began = time.monotonic()
    try:
        chart.install()
        note(f"helm install to two ready operators: {time.monotonic() - began:.1f} s")
        until(lambda: chart.leader() in chart.pods(), 60, "an operator to hold the Lease")
        yield chart
    finally:
        chart.uninstall()
        if made:
            kube.delete("namespace", NAMESPACE)


@pytest.fixture(scope="module")
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A restricted namespace for a file of tests; afterwards its pipelines go, and then it."""
    name = "e2e-" + request.module.__name__.rpartition("test_")[2].replace("_", "-")
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
    yield name
    kube.delete(LLMP, "--all", name, "--cascade=foreground", seconds=300)
    kube.delete("namespace", name, seconds=300)


@pytest.fixture
def needs_kuberay(kuberay: str) -> None:
    if kuberay:
        pytest.skip(kuberay)


@pytest.fixture(scope="module")
def client(kube: Kube, installation: Installation, images: Images, namespace: str, kuberay: str) -> Iterator[Client]:
    if kuberay:
        pytest.skip(kuberay)
    make_code(kube, namespace)
    pod = Client(kube, namespace, images.serve)
    pod.start()
    yield pod
    kube.delete("pod", Client.name, namespace, "--grace-period=1")
