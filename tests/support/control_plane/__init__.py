"""A real etcd and kube-apiserver, our operator in a process of its own, and a fake of KubeRay that writes status."""

from support.control_plane.admin import Admin, ApiError, Manifest, eventually, install_crds
from support.control_plane.assets import assets
from support.control_plane.operator_process import OperatorProcess
from support.control_plane.server import ControlPlane

__all__ = [
    "Admin",
    "ApiError",
    "ControlPlane",
    "Manifest",
    "OperatorProcess",
    "assets",
    "eventually",
    "install_crds",
]
