"""A real API server behind a proxy that makes faults, and our operator behind that.

    make faults                    every fault with 20 seeds, and those that take long
    FAULT_SEEDS=3 pytest tests/faults

The named fakes: KubeRay (`fake_kuberay`) and the garbage collector (`oracle.Snapshot.is_garbage`).
"""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from support import summary
from support.control_plane import Admin, ControlPlane, OperatorProcess, install_crds
from support.control_plane.surroundings import role_of_rights
from support.faults.figures import FIGURES
from support.faults.ground import Ground
from support.faults.proxy import FaultProxy
from support.kuberay.crds import kuberay_crds
from support.repository import CRDS


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as running:
        admin = running.admin()
        crds = kuberay_crds()
        summary.say(crds.source)
        install_crds(admin, crds.directory)
        install_crds(admin, CRDS)
        yield running
    for figure in FIGURES.lines:
        summary.say(f"faults: {figure}")


@pytest.fixture(scope="session")
def admin(control_plane: ControlPlane) -> Admin:
    return Admin(control_plane.url, control_plane.token, control_plane.certificate_authority)


@pytest.fixture(scope="session")
def proxy(control_plane: ControlPlane, admin: Admin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """Asks as the operator, with the rights that the chart gives it."""
    role = role_of_rights()
    admin.apply("rbac.authorization.k8s.io/v1", "clusterroles", role)
    admin.bind("operator", role["metadata"]["name"])
    with FaultProxy(control_plane.kubeconfig_of("operator"), tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operator") / "operator.log"


@pytest.fixture(scope="module")
def ground(control_plane: ControlPlane, admin: Admin, proxy: FaultProxy, log: Path) -> Iterator[Ground]:
    """With one operator process for a file of tests."""
    operator = OperatorProcess(proxy.kubeconfig, log)
    operator.start()
    yield Ground(control_plane, admin, proxy, operator)
    operator.kill()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the operator printed under a test that failed."""
    report = yield
    ground = getattr(item, "funcargs", {}).get("ground")
    if report.failed and isinstance(ground, Ground):
        report.sections.append(("operator log, last lines", "\n".join(ground.operator.log.splitlines()[-40:])))
    return report
