"""Asking the cluster from a command, and the ways in which that can fail."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from aiohttp import ClientError
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config.config_exception import ConfigException

from llmpipeline.cluster import Rejected

_Answer = TypeVar("_Answer")
_SECONDS: Final = 60.0


class Unreachable(Exception):
    """The cluster did not answer; the text says why, and what to do."""


def ask(question: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Runs what asks the cluster. Raises `Unreachable`."""
    try:
        return asyncio.run(_in_time(question))
    except ConfigException as error:
        raise Unreachable(f"no cluster to connect to: {error}; set KUBECONFIG") from error
    except Rejected as rejected:
        raise Unreachable(f"the cluster refuses: {rejected}") from rejected
    except TimeoutError as error:
        raise Unreachable("the cluster cannot be reached: it does not answer in time") from error
    except (ClientError, ApiException, OSError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise Unreachable(f"the cluster cannot be reached: {said}") from error


async def _in_time(question: Coroutine[Any, Any, _Answer]) -> _Answer:
    return await asyncio.wait_for(question, _SECONDS)
