"""A real etcd and kube-apiserver on this machine, for tests, benchmarks and playing.

make control-plane             start one, print its kubeconfig and wait for Ctrl-C
make control-plane-binaries    build the binaries if they are missing
"""

import argparse
import base64
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.cache import AssetsError
from support.child_process import Child, free_port
from support.control_plane.admin import Admin, ApiError, install_crds
from support.control_plane.assets import assets
from support.kuberay.crds import kuberay_crds

USERS = ("operator", "alice", "bob")
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class ControlPlane:
    """etcd and kube-apiserver on loopback; a context manager that leaves no process and no file behind.

    There is no controller manager and no scheduler. So nothing collects garbage: a child stays when its owner is
    deleted. A deleted namespace stays Terminating; use a fresh name instead. Pods stay Pending, Services get no
    endpoints, and namespaces no default ServiceAccount.

    Users with a token: `admin` may do everything; `operator`, and the tenants `alice` and `bob`, nothing until someone
    binds them (`Admin.bind`).

    Args:
        audit: log every request (who, what, when, answer; no bodies) to `audit_log`.
        arguments: more arguments for kube-apiserver.
    """

    def __init__(self, *, audit: bool = False, arguments: Sequence[str] = ()) -> None:
        self._audit = audit
        self._arguments = arguments
        self._tokens = {user: secrets.token_hex(16) for user in ("admin", *USERS)}
        self._etcd: Child | None = None
        self._apiserver: Child | None = None

    def __enter__(self) -> Self:
        self._binaries = assets()
        self.directory = Path(tempfile.mkdtemp(prefix="llmpipeline-control-plane-"))
        try:
            self._etcd_port, self._port = free_port(), free_port()
            self._write_files()
            self._start_etcd()
            self.start_apiserver()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clean_up()

    @property
    def url(self) -> str:
        """Where the API server listens; stays the same over restarts."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def token(self) -> str:
        """The admin's bearer token."""
        return self._tokens["admin"]

    @property
    def certificate_authority(self) -> Path:
        """The certificate that the server made for itself."""
        return self.directory / "certificates" / "apiserver.crt"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file for the admin."""
        return self.kubeconfig_of("admin")

    @property
    def audit_log(self) -> Path:
        """One JSON event a line, if `audit` was asked for."""
        return self.directory / "audit.log"

    @property
    def apiserver_log(self) -> Path:
        """What kube-apiserver printed."""
        return self.directory / "kube-apiserver.log"

    def admin(self) -> Admin:
        """A client with all rights."""
        return Admin(self.url, self.token, self.certificate_authority)

    def client_of(self, user: str) -> Admin:
        """A client of one of the users."""
        return Admin(self.url, self._tokens[user], self.certificate_authority)

    def kubeconfig_of(self, user: str) -> Path:
        """A kubeconfig file of one of the users."""
        path = self.directory / f"{user}.kubeconfig"
        authority = base64.b64encode(self.certificate_authority.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user, "namespace": "default"}}],
            "current-context": "test",
        }
        path.write_text(json.dumps(content, indent=1))
        return path

    def start_apiserver(self, seconds: float = 60) -> None:
        """Start kube-apiserver and wait until it is ready; what etcd holds is still there."""
        # Garbage is collected in time, however large the objects are: without a limit it has taken 16 GiB.
        environment = {**os.environ, "GOMEMLIMIT": "3GiB"}
        self._apiserver = Child(self._apiserver_command(), self.apiserver_log, environment)
        self._wait(self._apiserver, "kube-apiserver", self._apiserver_is_ready, seconds)

    def stop_apiserver(self, *, kill: bool = False) -> None:
        """Stop kube-apiserver: politely, as a rolling restart does, or at once, as a node that fails does."""
        if self._apiserver:
            if kill:
                self._apiserver.kill()
            else:
                self._apiserver.stop()
        self._apiserver = None

    def restart_apiserver(self, *, kill: bool = False) -> None:
        """Stop, start, wait until ready."""
        self.stop_apiserver(kill=kill)
        self.start_apiserver()

    def _write_files(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        # In PKCS #8 the server does not find the public half.
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        (self.directory / "service-account.key").write_bytes(private)
        groups = {"admin": ",system:masters"}
        tokens = "".join(f"{token},{user},{user}{groups.get(user, '')}\n" for user, token in self._tokens.items())
        (self.directory / "tokens.csv").write_text(tokens)
        (self.directory / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))

    def _start_etcd(self) -> None:
        client = f"http://127.0.0.1:{self._etcd_port}"
        command = [
            str(self._binaries / "etcd"),
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            "--listen-peer-urls=http://127.0.0.1:0",
            # The data are thrown away: waiting for the disk would only make every write slow.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]
        self._etcd = Child(command, self.directory / "etcd.log")

        def is_ready() -> bool:
            return urllib3.request("GET", f"{client}/readyz", retries=False, timeout=2).status == 200

        self._wait(self._etcd, "etcd", is_ready, 30)

    def _apiserver_command(self) -> list[str]:
        directory = self.directory
        key = directory / "service-account.key"
        audit = [
            f"--audit-log-path={self.audit_log}",
            f"--audit-policy-file={directory / 'audit-policy.json'}",
            # Never start a second file: readers follow this one.
            "--audit-log-maxsize=10000",
        ]
        return [
            str(self._binaries / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={directory / 'certificates'}",
            f"--token-auth-file={directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            # Without a controller manager no namespace has a default ServiceAccount, and every Pod would be refused.
            "--disable-admission-plugins=ServiceAccount",
            # It refuses to publish a loopback address as an endpoint, loudly.
            "--endpoint-reconciler-type=none",
            *(audit if self._audit else []),
            *self._arguments,
        ]

    def _apiserver_is_ready(self) -> bool:
        if not self.certificate_authority.exists():
            return False
        try:
            return bool(self.admin().request("GET", "/readyz")["text"] == "ok")
        except ApiError:
            return False

    def _wait(self, child: Child, name: str, is_ready: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            if child.exit_code is not None:
                raise RuntimeError(f"{name} ended with {child.exit_code}:\n{child.log_tail()}")
            try:
                if is_ready():
                    return
            except urllib3.exceptions.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is not ready after {seconds} s:\n{child.log_tail()}")
            time.sleep(0.05)

    def _clean_up(self) -> None:
        for child in (self._apiserver, self._etcd):
            if child:
                child.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="A real etcd and kube-apiserver on this machine.")
    parser.add_argument("command", choices=["build", "run"])
    command = parser.parse_args(arguments).command
    try:
        if command == "build":
            print(assets())
        else:
            _run()
    except AssetsError as error:
        print(f"control plane: {error}", file=sys.stderr)
        return 1
    return 0


def _run() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ControlPlane() as control_plane:
            crds = kuberay_crds()
            names = install_crds(control_plane.admin(), crds.directory)
            print(f"control plane: {control_plane.url}, with {' and '.join(names)}; Ctrl-C ends it", file=sys.stderr)
            print(crds.source, file=sys.stderr)
            print(f"export KUBECONFIG={control_plane.kubeconfig}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("control plane: stopped", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
