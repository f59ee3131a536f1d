"""Our operator as a process of its own, the way its image starts it."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.child_process import Child
from support.repository import ROOT as REPOSITORY

READY = "operator ready"


class OperatorProcess:
    """`llmpipeline operator` against a kubeconfig; started, stopped and killed at will.

    Args:
        kubeconfig: which API server, as whom.
        log_path: where its output goes; a restart goes on in the same file.
        environment: set on top of this process's own.
        arguments: of the command.
    """

    def __init__(
        self,
        kubeconfig: Path,
        log_path: Path,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.log_path = log_path
        # -P: the working directory, which may have an `operator` folder, must not come before the standard library.
        self._command = [sys.executable, "-P", "-m", "llmpipeline", "operator", *arguments]
        search_path = [
            str(REPOSITORY / "operator"),
            str(REPOSITORY / "serve_apps"),
            *filter(None, [os.environ.get("PYTHONPATH")]),
        ]
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": os.pathsep.join(search_path),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The process id, while it runs."""
        if not self._child:
            raise RuntimeError("the operator was not started")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended, by itself or by us."""
        return self._child is not None and self._child.exit_code is None

    @property
    def log(self) -> str:
        """All it has printed, since the first start."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self, seconds: float = 30, *, wait: bool = True) -> None:
        """Start it, and wait until it says that it is ready."""
        if self.running:
            raise RuntimeError(f"the operator runs already, as process {self.pid}")
        before = len(self.log)
        self._child = Child(self._command, self.log_path, self._environment)
        if wait:
            self.wait_until_ready(seconds, since=before)

    def wait_until_ready(self, seconds: float = 30, *, since: int = 0) -> None:
        """Wait for the line that says so, in the log after its first `since` characters."""
        deadline = time.monotonic() + seconds
        while READY not in self.log[since:]:
            if not self.running:
                raise RuntimeError(f"the operator ended by itself:\n{self.log[since:][-4000:]}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"no {READY!r} in {seconds} s:\n{self.log[since:][-4000:]}")
            time.sleep(0.02)

    def stop(self, seconds: float = 15) -> int:
        """Ask it to end, as Kubernetes does; returns the exit code (-9: it had to be killed)."""
        return self._child.stop(seconds) if self._child else 0

    def kill(self) -> None:
        """End it at once, between any two of its instructions."""
        if self._child:
            self._child.kill()

    def restart(self, *, kill: bool = False) -> None:
        """Stop or kill it, start it again and wait until it is ready."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()
