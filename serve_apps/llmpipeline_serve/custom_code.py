"""The user's own code, by its import path."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any


def load(import_path: str) -> Callable[..., Any]:
    """Return what `MODULE:NAME` names: a function, or an instance of a class.

    Raises:
        ImportError: There is no such module, or nothing of that name in it.
        TypeError: What is there cannot be called.
    """
    module_name, _, name = import_path.replace(":", ".").rpartition(".")
    module = importlib.import_module(module_name)
    try:
        found = getattr(module, name)
    except AttributeError as error:
        raise ImportError(f"{import_path}: module {module_name} has no {name}") from error
    made: Any = found() if inspect.isclass(found) else found
    if not callable(made):
        raise TypeError(f"{import_path} is not a function, nor a class whose instances are")
    function: Callable[..., Any] = made
    return function
