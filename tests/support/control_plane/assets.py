"""Where the binaries of etcd, kube-apiserver, helm, Prometheus and others come from.

The binaries are built from Go modules alone, so that a machine that reaches a Go module proxy but no download site
still has a real API server. The versions stand in `hack/kubernetes/*/go.mod` and nowhere else.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.cache import AssetsError, say, user_cache
from support.repository import HACK

# The package of a program that is not another project's, but in hack/kubernetes itself.
OWN_PACKAGE = "."


@dataclass(frozen=True)
class Binary:
    """One program, and the pinned module it is built from."""

    name: str
    module_directory: Path
    module: str
    package: str
    version_package: str = ""
    tags: str = ""

    @property
    def version(self) -> str:
        """The version that go.mod requires, such as v1.34.1."""
        text = (self.module_directory / "go.mod").read_text()
        found = re.search(rf"^require {re.escape(self.module)} (v\S+)$", text, re.MULTILINE)
        if not found:
            raise AssetsError(f"{self.module_directory}/go.mod does not require {self.module} on a line of its own")
        return found[1]

    @property
    def edition(self) -> str:
        """What tells its builds apart: the version and, of a program with source of its own, a digest of that."""
        if self.package != OWN_PACKAGE:
            return self.version
        source = b"".join(file.read_bytes() for file in sorted(self.module_directory.iterdir()))
        return f"{self.version}-{hashlib.sha256(source).hexdigest()[:12]}"

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
KUBE_NETWORK_POLICIES = Binary(
    name="kube-network-policies",
    module_directory=HACK / "kubernetes" / "network-policies",
    module="sigs.k8s.io/kube-network-policies",
    package="sigs.k8s.io/kube-network-policies/cmd",
)
# Of the ways in which it finds targets those that are used: the others are the clients of 25 clouds.
_DISCOVERY = "remove_all_sd,enable_kubernetes_sd"
PROMETHEUS = Binary(
    name="prometheus",
    module_directory=HACK / "kubernetes" / "prometheus",
    module="github.com/prometheus/prometheus",
    package="github.com/prometheus/prometheus/cmd/prometheus",
    tags=_DISCOVERY,
)
PROMTOOL = Binary(
    name="promtool",
    module_directory=HACK / "kubernetes" / "prometheus",
    module="github.com/prometheus/prometheus",
    package="github.com/prometheus/prometheus/cmd/promtool",
    tags=_DISCOVERY,
)
KSTATUS = Binary(
    name="kstatus",
    module_directory=HACK / "kubernetes" / "kstatus",
    module="sigs.k8s.io/cli-utils",
    package=OWN_PACKAGE,
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
            "put them there, or unset it to have them built by `make control-plane-binaries`"
        )
    return directory


def helm() -> Path:
    """Helm: that which HELM names, else built."""
    provided = os.environ.get("HELM")
    return Path(provided) if provided else build_once(HELM)


def build_once(binary: Binary) -> Path:
    """The program, from its pinned module. A version that was built once is kept."""
    target = cache_directory() / f"{binary.name}-{binary.edition}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.parent / f".{binary.name}.lock"):
        if not target.exists():
            _build_one(binary, target)
    return target


def cache_directory() -> Path:
    """Where built binaries are kept between runs."""
    return user_cache() / f"kubernetes-{KUBE_APISERVER.version}"


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
    say(f"building {binary.name} {binary.version} (once; all binaries take about 7 minutes on two cores)")
    started = time.monotonic()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    # The toolchain must be the one that is here: a go.mod that asks for a newer one is a fault to see, not a download.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    # Not the commit of this repository, because git may not be there or may not trust the folder.
    flags = ["-trimpath", "-buildvcs=false", "-ldflags", binary.linker_flags]
    flags += ["-tags", binary.tags] if binary.tags else []
    command = [go, "build", *flags, "-o", str(temporary), binary.package]
    try:
        done = subprocess.run(command, cwd=binary.module_directory, env=environment, check=False)
        if done.returncode:
            raise AssetsError(f"`go build {binary.package}` in {binary.module_directory} failed; its output is above")
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    say(f"built {target} in {time.monotonic() - started:.0f} s")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a file lock, so that of two test runs one builds and the other waits."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process builds into {path.parent}: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
