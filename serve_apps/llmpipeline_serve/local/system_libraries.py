"""Libraries of the operating system that no wheel brings."""

import ctypes
from typing import Final

from llmpipeline_serve.local.errors import RunnerError

_NUMA: Final = "libnuma.so.1"


def require_for_cpu_engine() -> None:
    """Check what vLLM for CPUs is linked against. Without it each engine fails a minute later and names no cause.

    Raises:
        RunnerError: It is not on this machine.
    """
    try:
        ctypes.CDLL(_NUMA)
    except OSError as error:
        install = "apt-get install libnuma1 (Debian, Ubuntu) or dnf install numactl-libs (Fedora, RHEL)"
        raise RunnerError(f"vLLM on CPUs needs {_NUMA}, which this machine does not have: {install}", 3) from error
