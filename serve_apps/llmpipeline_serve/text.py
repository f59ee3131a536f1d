"""What a text in a request must be."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL character")
    return value


Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_no_nul)]
