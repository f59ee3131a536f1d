"""An API server of its own for the operator that is watched."""

from collections.abc import Iterator

import pytest

from support.cache import AssetsError
from support.control_plane import Admin, ControlPlane, install_crds
from support.control_plane.assets import PROMETHEUS, PROMTOOL, build_once
from support.kuberay.crds import kuberay_crds
from support.repository import CRDS


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """Prometheus and promtool, before a Ray takes the CPUs that building them needs."""
    try:
        for binary in (PROMETHEUS, PROMTOOL):
            build_once(binary)
    except AssetsError as error:
        pytest.skip(f"Prometheus cannot be built here, which needs Go 1.26.7 or newer: {error}")


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """One etcd and kube-apiserver, with KubeRay's CRDs and ours."""
    with ControlPlane() as running:
        install_crds(running.admin(), kuberay_crds().directory)
        install_crds(running.admin(), CRDS)
        yield running


@pytest.fixture(scope="session")
def admin(control_plane: ControlPlane) -> Admin:
    """A client with all rights."""
    return control_plane.admin()
