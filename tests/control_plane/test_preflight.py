"""What the chart refuses before anything is made, on a real API server: a second operator, and half an install."""

import copy
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support.control_plane import Admin, ControlPlane
from support.control_plane.assets import helm
from support.kuberay.crds import kuberay_crds
from support.repository import CHART

RBAC = "rbac.authorization.k8s.io/v1"
CRDS = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
CRD = "llmpipelines.serving.llmpipeline.dev"
OWN_CRD = "crds.enabled=false"


@pytest.fixture
def helm_install(control_plane: ControlPlane, namespace: str) -> Any:
    """helm install as far as it goes without making anything."""

    def run(*settings: str) -> subprocess.CompletedProcess[str]:
        values = [part for setting in settings for part in ("--set", setting)]
        command = [str(helm()), "install", "mine", str(CHART), "--dry-run=server", "-n", namespace, *values]
        command += ["--kubeconfig", str(control_plane.kubeconfig)]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    return run


@pytest.fixture
def install(helm_install: Any) -> Any:
    def run(*settings: str) -> str:
        """What helm says against it; empty where it would install."""
        done = helm_install(*settings)
        return done.stderr if done.returncode else ""

    return run


def binding(kind: str, namespace: str | None, instance: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": "llmpipeline-operator",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/component": "watched-namespace",
    }
    return {
        "apiVersion": RBAC,
        "kind": kind,
        "metadata": {"name": "other-llmpipeline", "labels": labels, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind.removesuffix("Binding"), "name": "other"},
        "subjects": [{"kind": "ServiceAccount", "name": "other", "namespace": "elsewhere"}],
    }


@pytest.fixture
def watches_all(admin: Admin) -> Iterator[None]:
    admin.create(RBAC, "clusterrolebindings", binding("ClusterRoleBinding", None, "other"))
    yield
    admin.delete(RBAC, "clusterrolebindings", None, "other-llmpipeline")


@pytest.fixture
def watches_one(admin: Admin, namespace: str) -> Iterator[str]:
    admin.create(RBAC, "rolebindings", binding("RoleBinding", namespace, "other"))
    yield namespace
    admin.delete(RBAC, "rolebindings", namespace, "other-llmpipeline")


@pytest.fixture
def crd_of_another_release(admin: Admin) -> Iterator[None]:
    owner = {"meta.helm.sh/release-name": "other", "meta.helm.sh/release-namespace": "elsewhere"}
    admin.merge_patch(*CRDS, None, CRD, {"metadata": {"annotations": owner}})
    yield
    admin.merge_patch(*CRDS, None, CRD, {"metadata": {"annotations": dict.fromkeys(owner)}})


def test_alone_it_installs(install: Any, namespace: str) -> None:
    assert install(OWN_CRD) == ""
    assert install(OWN_CRD, f"watchNamespaces={{{namespace}}}") == ""


def test_a_crd_that_helm_did_not_make(install: Any) -> None:
    assert f"the CRD {CRD} is in this cluster already, and not by helm" in install()


@pytest.mark.usefixtures("crd_of_another_release")
def test_a_crd_of_another_release(install: Any) -> None:
    assert "belongs to the release elsewhere/other; upgrade that one" in install()


@pytest.mark.usefixtures("watches_all")
@pytest.mark.parametrize("settings", [(), ("watchNamespaces={default}",)])
def test_a_second_operator_where_one_watches_all(install: Any, settings: tuple[str, ...]) -> None:
    assert "the release elsewhere/other watches all namespaces" in install(OWN_CRD, *settings)


def test_a_second_operator_where_one_watches_some(install: Any, watches_one: str) -> None:
    says = f"the release elsewhere/other watches the namespace {watches_one} already"
    assert says in install(OWN_CRD)
    assert says in install(OWN_CRD, f"watchNamespaces={{{watches_one}}}")
    assert install(OWN_CRD, "watchNamespaces={default}") == ""


def test_a_namespace_that_is_not_there(install: Any) -> None:
    assert "there is no namespace nowhere; create it first" in install(OWN_CRD, "watchNamespaces={nowhere}")


@pytest.mark.usefixtures("watches_all")
def test_it_can_be_switched_off(install: Any) -> None:
    assert install(OWN_CRD, "preflight.enabled=false") == ""


@pytest.fixture
def older_kuberay(admin: Admin) -> Iterator[None]:
    """A RayService CRD without the field that came with KubeRay 1.7."""
    if not kuberay_crds().own:
        pytest.skip("the stand-in for KubeRay's CRDs has no fields to take away: set KUBERAY_CRDS")
    name = "rayservices.ray.io"
    whole = admin.get(*CRDS, None, name)["spec"]
    older = copy.deepcopy(whole)
    for version in older["versions"]:
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].pop("suspend", None)
    admin.merge_patch(*CRDS, None, name, {"spec": older})
    yield
    admin.merge_patch(*CRDS, None, name, {"spec": whole})


def test_the_notes_say_nothing_against_a_kuberay_that_is_new_enough(helm_install: Any) -> None:
    if not kuberay_crds().own:
        pytest.skip("the stand-in for KubeRay's CRDs has no fields: set KUBERAY_CRDS")
    notes = helm_install(OWN_CRD).stdout
    assert "kubectl apply -f manifests/samples/hello.yaml" in notes
    assert "older than" not in notes
    assert "not installed" not in notes


@pytest.mark.usefixtures("older_kuberay")
def test_the_notes_name_a_kuberay_that_is_too_old(helm_install: Any) -> None:
    assert "KubeRay in this cluster, or its CRDs, are older than 1.7" in helm_install(OWN_CRD).stdout
