"""Where the etcd, kube-apiserver and helm binaries come from, and where KubeRay's CRDs do.

The binaries are built from Go modules alone, so that a machine that reaches a Go module proxy but no download site
still has a real API server. The versions stand in `hack/kubernetes/*/go.mod` and nowhere else.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HACK = Path(__file__).resolve().parent
REPOSITORY = HACK.parent


class AssetsError(RuntimeError):
    """A binary is missing and cannot be made."""


@dataclass(frozen=True)
class Binary:
    """One program, and the pinned module it is built from."""

    name: str
    module_directory: Path
    module: str
    package: str
    version_package: str = ""

    @property
    def version(self) -> str:
        """The version that go.mod requires, such as v1.34.1."""
        text = (self.module_directory / "go.mod").read_text()
        found = re.search(rf"^require {re.escape(self.module)} (v\S+)$", text, re.MULTILINE)
        if not found:
            raise AssetsError(f"{self.module_directory}/go.mod does not require {self.module} on a line of its own")
        return found[1]

    @property
    def linker_flags(self) -> str:
        """Strip the symbols; tell the server its version, which Kubernetes' own build scripts also set from outside."""
        flags = "-s -w"
        if self.version_package:
            major, minor = self.version.removeprefix("v").split(".")[:2]
            values = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor}
            flags += "".join(f" -X {self.version_package}.{key}={value}" for key, value in values.items())
        return flags


ETCD = Binary(
    name="etcd",
    module_directory=HACK / "kubernetes" / "etcd",
    module="go.etcd.io/etcd/server/v3",
    package="go.etcd.io/etcd/server/v3",
)
KUBE_APISERVER = Binary(
    name="kube-apiserver",
    module_directory=HACK / "kubernetes" / "apiserver",
    module="k8s.io/kubernetes",
    package="k8s.io/kubernetes/cmd/kube-apiserver",
    version_package="k8s.io/component-base/version",
)
BINARIES = (ETCD, KUBE_APISERVER)
HELM = Binary(
    name="helm",
    module_directory=HACK / "kubernetes" / "helm",
    module="helm.sh/helm/v3",
    package="helm.sh/helm/v3/cmd/helm",
)


def assets() -> Path:
    """The directory with etcd and kube-apiserver; builds them, once, where nobody provides them."""
    provided = os.environ.get("KUBEBUILDER_ASSETS")
    if not provided:
        return build(cache_directory())
    directory = Path(provided)
    missing = [binary.name for binary in BINARIES if not os.access(directory / binary.name, os.X_OK)]
    if missing:
        raise AssetsError(
            f"KUBEBUILDER_ASSETS={provided} has no {' and no '.join(missing)}; "
            "put them there, or unset it to have them built by `python hack/control_plane.py build`"
        )
    return directory


def helm() -> Path:
    """Helm: that which HELM names, else built once as the other binaries are."""
    if provided := os.environ.get("HELM"):
        return Path(provided)
    target = cache_directory() / HELM.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.parent / ".lock"):
        if not target.exists():
            _build_one(HELM, target)
    return target


def cache_directory() -> Path:
    """Where built binaries are kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "llmpipeline" / f"kubernetes-{KUBE_APISERVER.version}"


def build(directory: Path) -> Path:
    """Build what is missing in `directory` and return it."""
    if all((directory / binary.name).exists() for binary in BINARIES):
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    with _lock(directory / ".lock"):
        for binary in BINARIES:
            if not (directory / binary.name).exists():
                _build_one(binary, directory / binary.name)
    return directory


def _build_one(binary: Binary, target: Path) -> None:
    go = shutil.which("go")
    if not go:
        raise AssetsError(
            f"{binary.name} must be built, and there is no `go`; install Go 1.24+ or set KUBEBUILDER_ASSETS"
        )
    _say(f"building {binary.name} {binary.version} (once; all binaries take about 7 minutes on two cores)")
    started = time.monotonic()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    # The toolchain must be the one that is here: a go.mod that asks for a newer one is a fault to see, not a download.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    command = [go, "build", "-trimpath", "-ldflags", binary.linker_flags, "-o", str(temporary), binary.package]
    try:
        done = subprocess.run(command, cwd=binary.module_directory, env=environment, check=False)
        if done.returncode:
            raise AssetsError(f"`go build {binary.package}` in {binary.module_directory} failed; its output is above")
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    _say(f"built {target} in {time.monotonic() - started:.0f} s")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a file lock, so that of two test runs one builds and the other waits."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"another process builds into {path.parent}: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(message: str) -> None:
    print(f"control plane: {message}", file=sys.stderr, flush=True)


def kuberay_crds() -> tuple[Path, str]:
    """The directory with the CRDs of RayService and RayCluster, and a sentence that says whose they are.

    KubeRay's own are 2 MB of somebody else's work and stay out of this repository: `KUBERAY_CRDS` names a directory
    that has them; a checkout beside a `shared/reference` folder finds them there.
    """
    named = os.environ.get("KUBERAY_CRDS")
    if named:
        if not list(Path(named).glob("*.yaml")):
            raise AssetsError(f"KUBERAY_CRDS={named} has no *.yaml; name a directory with KubeRay's CRDs or unset it")
        return Path(named), f"KubeRay CRDs: those that KUBERAY_CRDS names, {named}"
    beside = REPOSITORY.parent / "shared" / "reference" / "kuberay-crds-v1.7.0"
    if beside.is_dir():
        return beside, f"KubeRay CRDs: KubeRay's own, v1.7.0, from {beside}"
    return HACK / "kuberay-stand-in", (
        "KubeRay CRDs: OUR STAND-IN, which accepts any spec; set KUBERAY_CRDS to a directory with KubeRay's own"
    )
