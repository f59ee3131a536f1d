"""What the `trafficSplit` app takes."""

from typing import Final, Self

from pydantic import Field, model_validator

from llmpipeline_serve.contract.base import MEBIBYTE, AppArgs, Seconds

IMPORT_PATH: Final = "llmpipeline_serve.traffic_split.app:build"


class SplitArgs(AppArgs):
    """What only a restart changes.

    Attributes:
        port: Serve's HTTP port on this app's own node; every variant is asked there.
        shadow_max_body_bytes: A request with a longer body is not copied.
        shadow_max_requests: Copies in flight at once, per replica. While there are as many, none is made.
    """

    port: int = Field(default=8000, ge=1, le=65535)
    shadow_max_body_bytes: int = Field(default=MEBIBYTE, ge=0)
    shadow_max_requests: int = Field(default=32, ge=1)


class Variant(AppArgs):
    """One of the apps that share the requests: `route` is its route prefix, and `weight` its share of the sum."""

    name: str
    route: str
    weight: int = Field(ge=0, le=1000)


class Sticky(AppArgs):
    """What stands for the user: the value of a header or of a cookie."""

    header: str | None = None
    cookie: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("give exactly one of header and cookie")
        return self


class Shadow(AppArgs):
    """An app that gets copies of `percent` of the requests."""

    app: str
    route: str
    percent: int = Field(ge=1, le=100)


class Settings(AppArgs):
    """The deployment's `user_config`: all that may change while requests are in flight."""

    variants: tuple[Variant, ...] = Field(min_length=1)
    timeout_seconds: Seconds = 600
    sticky: Sticky | None = None
    override_header: str | None = None
    shadow: tuple[Shadow, ...] = ()

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not any(variant.weight for variant in self.variants):
            raise ValueError("every weight is 0")
        return self
