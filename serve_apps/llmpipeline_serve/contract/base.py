"""What the arguments of all bundled apps have in common."""

from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

MEBIBYTE: Final = 2**20

# An integer stays one when it is written out: the text of a Serve config is compared as a string.
Seconds = Annotated[int | float, Field(gt=0)]

Part = TypeVar("Part")


class AppArgs(BaseModel):
    """The base of all: Serve itself lets unknown keys pass, so a typo must fail here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, **given: Any) -> Self:
        """The arguments of which those that are None are left out, so that the app's defaults hold."""
        return cls(**{name: value for name, value in given.items() if value is not None})

    def written(self) -> dict[str, Any]:
        """As a Serve config has them: what was set and no default, in the order of the fields."""
        return self.model_dump(mode="json", exclude_unset=True)

    def holds(self, kind: type["AppArgs"]) -> bool:
        """Whether these arguments are of this kind, or have a part that is."""
        parts = [item for value in dict(self).values() for item in (value if isinstance(value, tuple) else (value,))]
        return isinstance(self, kind) or any(isinstance(part, AppArgs) and part.holds(kind) for part in parts)

    def question(self) -> dict[str, Any] | None:
        """The body of a request that tries the app out; None: it answers a GET."""
        return None


class Limits(AppArgs):
    """What one request may take.

    Attributes:
        timeout_seconds: From the request's arrival at the app to the last byte of its answer.
        max_body_bytes: Of the request's body.
        log_prompts: Whether the texts of requests may be logged.
    """

    timeout_seconds: Seconds = 60
    max_body_bytes: int = Field(default=4 * MEBIBYTE, ge=0)
    log_prompts: bool = False
