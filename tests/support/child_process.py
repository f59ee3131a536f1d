"""Child processes that never outlive us, and ports for them."""

import ctypes
import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Loaded here and not in the child: between fork and exec nothing may take a lock.
_LIBC = ctypes.CDLL(None, use_errno=True)


class Child:
    """One process with its output in a file.

    The kernel kills it when the thread that started it ends (Linux), so start it from a thread that outlives it.
    It has a session of its own: Ctrl-C in a terminal reaches us alone, and we stop our children in order.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        parent = os.getpid()

        def before_exec() -> None:
            # A blocked signal stays blocked over exec; the child must hear SIGTERM whatever we wait for.
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=before_exec,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self, seconds: float = 10) -> int:
        """Ask it to end (SIGTERM); kill it if it has not within `seconds`. Returns its exit code."""
        if self.exit_code is None:
            self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it at once, as a node that fails would."""
        if self.exit_code is None:
            self._process.kill()
        return self._process.wait()

    def log_tail(self, lines: int = 30) -> str:
        """The last lines it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """A loopback port that is free now and stays ours to use again after a restart.

    Below Ray Serve's ports for replicas (30000 to 31000), and below the range that the kernel gives to outgoing
    connections: a client that keeps trying a stopped server's port in that range can be given this very port as its
    own end, connects to itself, and the server cannot come back.
    """
    ports = list(range(20000, 30000))
    random.shuffle(ports)
    for port in ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no loopback port between 20000 and 30000 is free")
