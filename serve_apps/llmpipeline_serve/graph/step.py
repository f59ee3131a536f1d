"""The user's own function as a step of a graph. Knows nothing of Ray."""

import asyncio
import contextvars
import inspect
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from llmpipeline_serve.contract.graph import CustomSettings
from llmpipeline_serve.custom_code import check_step, load


class PythonStep:
    """Calls a function with the node's input and with the node's `args` as keyword arguments.

    A function that is not async works in a thread, because it may wait or compute: the event loop stays free to take
    other requests and to answer health checks. There are as many threads as there may be requests in flight. A call
    that nobody waits for any more ends when the function returns, since Python cannot stop a thread.
    """

    def __init__(self, import_path: str) -> None:
        """Import the function.

        Raises:
            ImportError: There is no such module, or nothing of that name in it.
            TypeError: What is there cannot be called, or not as a step.
        """
        self._import_path = import_path
        self._function = load(import_path)
        self._is_async = _is_async(self._function)
        self._settings = CustomSettings()
        self._threads = _threads(self._settings)

    def configure(self, settings: CustomSettings) -> None:
        """Take other arguments, from the next call on.

        Raises:
            TypeError: The function does not take them; what was set stays.
        """
        check_step(self._import_path, self._function, settings.args)
        if settings.threads != self._settings.threads:
            self._threads.shutdown(wait=False)
            self._threads = _threads(settings)
        self._settings = settings

    async def __call__(self, given: Any) -> dict[str, Any]:
        """Return what the function returns, or `{"output"}` with it if that is no object.

        Raises:
            TypeError: It returned something that JSON does not have.
        """
        args = self._settings.args
        if self._is_async:
            result = await self._function(given, **args)
        else:
            call = partial(contextvars.copy_context().run, _called, self._function, given, args)
            result = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        if inspect.isawaitable(result):
            result = await result
        self._check(result)
        return result if isinstance(result, dict) else {"output": result}

    def _check(self, result: Any) -> None:
        """Here, because later nobody knows any more whose result it is."""
        try:
            json.dumps(result, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"{self._import_path} returned something that JSON does not have: {error}") from error


def _is_async(function: Callable[..., Any]) -> bool:
    # Of an instance it is its class that says so.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _threads(settings: CustomSettings) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.threads, thread_name_prefix="step")


def _called(function: Callable[..., Any], given: Any, args: dict[str, Any]) -> Any:
    try:
        return function(given, **args)
    except (StopIteration, SystemExit) as error:
        # A future does not take the one, and nobody would ever get an answer; the other would end the replica.
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
