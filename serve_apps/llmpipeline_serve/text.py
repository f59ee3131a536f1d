"""What a text in a request must be."""

from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from llmpipeline_serve.errors import invalid


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL character")
    return value


# Of a request's body.
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_no_nul)]


def checked_text(value: Any) -> str:
    """A node's input as a text with something in it.

    Raises:
        ApiError: It is none. Most inputs come from the request, so that is whose mistake it is.
    """
    if not isinstance(value, str):
        raise invalid(f"text: must be a string, not {type(value).__name__}", "text")
    if not value.strip():
        raise invalid("text: must not be empty", "text")
    try:
        return _no_nul(value)
    except ValueError as error:
        raise invalid(f"text: {error}", "text") from error
