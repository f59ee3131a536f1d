"""JSON as RFC 8259 has it, and not as Python's reader takes it."""

import json
from typing import Any, NoReturn


def loads(content: bytes | str) -> Any:
    """The value.

    Raises:
        ValueError: It is not JSON, or holds NaN or an infinity: nobody could read an answer that has one.
        RecursionError: It is nested too deeply.
    """
    return json.loads(content, parse_constant=_no_number)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")
