"""A real API server for the tests of this folder, and our operator on it."""

import itertools
import re
from collections.abc import Generator, Iterator

import pytest

from support import summary
from support.control_plane import Admin, ControlPlane, OperatorProcess, install_crds
from support.kuberay.crds import kuberay_crds
from support.repository import CRDS

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """One etcd and kube-apiserver for the session, with KubeRay's CRDs and ours."""
    with ControlPlane(audit=True) as running:
        admin = running.admin()
        crds = kuberay_crds()
        summary.say(crds.source)
        install_crds(admin, crds.directory)
        if CRDS.is_dir():
            install_crds(admin, CRDS)
        yield running


@pytest.fixture(scope="session")
def admin(control_plane: ControlPlane) -> Admin:
    """A client with all rights."""
    return control_plane.admin()


@pytest.fixture
def namespace(admin: Admin, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own. Emptied after it, for nothing here collects garbage, but never deleted."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    name = admin.create_namespace(f"{words[:40].strip('-')}-{next(_numbers)}")
    yield name
    if admin.find("apiextensions.k8s.io/v1", "customresourcedefinitions", None, "llmpipelines.serving.llmpipeline.dev"):
        admin.delete_all("serving.llmpipeline.dev/v1alpha1", "llmpipelines", name)
    for plural in ("rayservices", "rayclusters"):
        admin.delete_all("ray.io/v1", plural, name)


@pytest.fixture(scope="module")
def operator_environment() -> dict[str, str]:
    """Environment variables of the operator; a module overrides this fixture to set some."""
    return {}


@pytest.fixture(scope="module")
def operator_role() -> str:
    """The ClusterRole that the operator runs with; a module overrides this fixture to give it another."""
    return "cluster-admin"


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane,
    admin: Admin,
    operator_role: str,
    operator_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OperatorProcess]:
    """Our operator, ready, in a process of its own and as a user of its own."""
    admin.bind("operator", operator_role)
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    process = OperatorProcess(control_plane.kubeconfig_of("operator"), log, operator_environment)
    process.start()
    yield process
    process.stop()
    admin.unbind("operator", operator_role)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the operator printed under a test that failed."""
    report = yield
    process = getattr(item, "funcargs", {}).get("operator")
    if report.failed and isinstance(process, OperatorProcess):
        report.sections.append(("operator log, last lines", "\n".join(process.log.splitlines()[-60:])))
    return report
