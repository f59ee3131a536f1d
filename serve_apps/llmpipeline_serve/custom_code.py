"""The user's own code, by its import path."""

import importlib
import inspect
from collections.abc import Callable, Collection
from typing import Any, Final

_GENERATORS: Final = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


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


def check_step(import_path: str, function: Callable[..., Any], args: Collection[str]) -> None:
    """Check that a function can be called with one input and with keyword arguments of these names.

    Raises:
        TypeError: It cannot; the message names the function and the argument.
    """
    if any(is_one(made) for made in (function, type(function).__call__) for is_one in _GENERATORS):
        raise TypeError(f"{import_path} yields; a step of a graph must return one result")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function of C, which need not say
        return
    if not parameters or parameters[0].kind not in _POSITIONAL:
        raise TypeError(f"{import_path} must take one positional argument, the node's input")
    first, rest = parameters[0], parameters[1:]
    named = {it.name: it for it in rest if it.kind in _BY_NAME}
    takes_any = any(it.kind is it.VAR_KEYWORD for it in rest)
    for name in args:
        if name == first.name and first.kind is first.POSITIONAL_OR_KEYWORD:
            raise TypeError(f"{import_path}: custom.args may not have {name}, which is the node's input")
        if name not in named and not takes_any:
            known = f"it takes {', '.join(named)}" if named else "it takes none"
            raise TypeError(f"{import_path} has no argument {name}, which custom.args gives; {known}")
    for it in rest:
        if it.default is it.empty and it.kind not in (it.VAR_POSITIONAL, it.VAR_KEYWORD) and it.name not in args:
            raise TypeError(f"{import_path} needs the argument {it.name}: give it in custom.args")
