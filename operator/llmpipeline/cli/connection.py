"""Asking the cluster from a command."""

import asyncio
import importlib.util
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from llmpipeline import names
from llmpipeline.cli.options import UNREACHABLE, fail
from llmpipeline.cluster.errors import RequestRejected, Unreachable

_Answer = TypeVar("_Answer")
_SECONDS: Final = 60.0
_LONGEST_REASON: Final = 200
_UNAUTHORIZED: Final = 401
TRACEBACK: Final = "LLMPIPELINE_TRACEBACK"
_NEEDED: Final = ("kubernetes", "aiohttp", "google")


def require_client() -> None:
    """Ends the program if what asks a cluster is not installed: the tool alone works without it."""
    require("cluster", "the Kubernetes client", *_NEEDED)


def require(extra: str, what: str, *packages: str) -> None:
    """Ends the program if one of the packages is not installed, and names the extra that brings them."""
    if any(importlib.util.find_spec(package) is None for package in packages):
        requirement = f'"{names.DISTRIBUTION}[{extra}]"'
        fail(f"{what} is not installed, which this command needs; pip install {requirement}", UNREACHABLE)


@contextmanager
def answers() -> Iterator[None]:
    """Around all that is made of a cluster's answers: what is not as Kubernetes has it may break anything.

    Raises:
        Unreachable: Instead of the error that came of it.
    """
    try:
        yield
    except (TypeError, LookupError, AttributeError, ValueError) as error:
        if os.environ.get(TRACEBACK):
            raise
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise Unreachable(
            f"its answer is not that of a Kubernetes API server ({type(error).__name__}: {reason}); "
            f"{TRACEBACK}=1 shows where"
        ) from error


def ask(question: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Runs what asks the cluster.

    Raises:
        Unreachable: There is no answer; the text is for the user.
    """
    try:
        with answers():
            return asyncio.run(_in_time(question))
    except (Unreachable, RequestRejected, TimeoutError) as error:
        raise Unreachable(why(error)) from error


def why(error: Exception) -> str:
    """Why a request to the cluster failed, in a sentence."""
    if isinstance(error, RequestRejected):
        remedy = "; log in again, or choose another --context" if error.status == _UNAUTHORIZED else ""
        return f"the cluster rejects the request: {error}{remedy}"
    # What aiohttp adds to an address says nothing to a user.
    text = (str(error) or "it does not answer in time").replace(" ssl:default ", " ")
    return text if text.startswith("no cluster") else f"the cluster cannot be reached: {text}"


async def _in_time(question: Coroutine[Any, Any, _Answer]) -> _Answer:
    return await asyncio.wait_for(question, _SECONDS)
