"""KubeRay's CustomResourceDefinitions, which the tests judge by.

They are 2 MB of somebody else's work and stay out of this repository. In this order: the folder that KUBERAY_CRDS
names; those of the pinned release, fetched once from KubeRay's public repository and kept if their checksums are right;
a stand-in of ours that accepts any spec. With the stand-in tests prove less, and say so.
"""

import hashlib
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from support.cache import AssetsError, say, user_cache

VERSION: Final = "v1.7.0"
ADDRESS: Final = f"https://raw.githubusercontent.com/ray-project/kuberay/{VERSION}/ray-operator/config/crd/bases"
CHECKSUMS: Final[Mapping[str, str]] = {
    "ray.io_rayclusters.yaml": "c44704442eef0c6721ad40c1d66782c8bd3fdab9d3344306a5820910a679baa1",
    "ray.io_rayservices.yaml": "0a8fc325e6e22b9231c1f282b309555e2ecf94227ca20a03df3d1d9a403907ab",
}
STAND_IN: Final = Path(__file__).resolve().parent / "stand_in"
_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class KubeRayCrds:
    """Where the CRDs of RayService and RayCluster are.

    Attributes:
        directory: The folder with them.
        source: A sentence that says whose they are.
        own: Whether they are KubeRay's own, rather than the stand-in.
    """

    directory: Path
    source: str
    own: bool


def kuberay_crds() -> KubeRayCrds:
    """The CRDs to test with.

    Raises:
        AssetsError: KUBERAY_CRDS names a folder that has none.
    """
    named = os.environ.get("KUBERAY_CRDS")
    return _named(Path(named).resolve()) if named else _fetched(user_cache() / f"kuberay-crds-{VERSION}", ADDRESS)


def _named(directory: Path) -> KubeRayCrds:
    if not list(directory.glob("*.yaml")):
        raise AssetsError(f"KUBERAY_CRDS={directory} has no *.yaml; name a folder with KubeRay's CRDs or unset it")
    if directory == STAND_IN:
        return _stand_in("as KUBERAY_CRDS says")
    return KubeRayCrds(directory, f"KubeRay CRDs: those that KUBERAY_CRDS names, {directory}", own=True)


@cache
def _fetched(directory: Path, address: str) -> KubeRayCrds:
    """Those of the release: from the cache, else from where it is published. Tried once in a process."""
    if not _is_whole(directory):
        try:
            _fetch(directory, address)
        except (OSError, ValueError) as error:
            return _stand_in(f"{VERSION} cannot be fetched: {error}")
    return KubeRayCrds(directory, f"KubeRay CRDs: KubeRay's own, {VERSION}, in {directory}", own=True)


def _stand_in(why: str) -> KubeRayCrds:
    source = f"KubeRay CRDs: OUR STAND-IN, which accepts any spec ({why}); KUBERAY_CRDS may name KubeRay's"
    return KubeRayCrds(STAND_IN, source, own=False)


def _is_whole(directory: Path) -> bool:
    return all(
        (directory / name).is_file() and _checksum((directory / name).read_bytes()) == checksum
        for name, checksum in CHECKSUMS.items()
    )


def _fetch(directory: Path, address: str) -> None:
    """Brings all of them, or leaves nothing."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=directory.parent))
    try:
        for name, expected in CHECKSUMS.items():
            say(f"fetching {name} of KubeRay {VERSION} (once)")
            with urllib.request.urlopen(f"{address}/{name}", timeout=_SECONDS) as response:
                content: bytes = response.read()
            if _checksum(content) != expected:
                raise ValueError(f"{name} does not have the checksum of KubeRay {VERSION}")
            (temporary / name).write_bytes(content)
        shutil.rmtree(directory, ignore_errors=True)
        temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
