"""Leaves no process behind, however Ray or the runner itself is stopped."""

import contextlib
import ctypes
import signal
import sys

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies.

    A worker outlives its raylet by seconds, and an engine may outlive its worker. On Linux they then still are our
    descendants; elsewhere only what `descendants` saw before is known.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> set[psutil.Process]:
    """Return every process below this one."""
    return set(psutil.Process().children(recursive=True))


def end(known: set[psutil.Process], patience: float) -> int:
    """End every process below this one and every known one; return how many had to be terminated.

    Nothing may interrupt this, so from here on the runner ignores Ctrl-C and SIGTERM.

    Args:
        known: Processes seen below this one before; one that is gone, or whose id now is another's, is left alone.
        patience: Seconds to let them end by themselves.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _, left = psutil.wait_procs(known | descendants(), timeout=patience)
    terminated = len(left)
    # What dies hands its children to us, so look again until there are none.
    while left:
        for process in left:
            _signal(process, signal.SIGTERM)
        _, left = psutil.wait_procs(left, timeout=3)
        for process in left:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(left, timeout=3)
        left = list(descendants())
        terminated += len(left)
    return terminated


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
