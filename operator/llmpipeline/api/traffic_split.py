"""The `trafficSplit` app: requests shared out among other apps of the pipeline."""

from typing import Annotated

from pydantic import Field

from llmpipeline.api.base import Model, Rule, exactly_one
from llmpipeline.api.deployment import Deployment, PositiveSeconds
from llmpipeline.api.kind import AppKind
from llmpipeline.api.name_types import ObjectName
from llmpipeline_serve.contract.base import MEBIBYTE
from llmpipeline_serve.contract.traffic_split import SplitArgs

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
CookieName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
# Requests are dealt from a deck that has a card for each unit of weight, so weights stay small.
Weight = Annotated[int, Field(ge=0, le=1000)]


class Variant(Model):
    """One of the apps that share the requests."""

    app: ObjectName = Field(description="The app of this pipeline that answers; not a trafficSplit.")
    name: ObjectName | None = Field(
        default=None,
        description="The variant's name in metrics, in answers and in the override header. Default: the name of its "
        "app.",
    )
    weight: Weight = Field(
        description="Its share of the requests: weight / sum of all weights. With 0 it gets only requests with the "
        "override header."
    )

    @property
    def label(self) -> str:
        """Its name in metrics, in answers and in the override header."""
        return self.name or self.app


class Sticky(Model):
    """What keeps a user with one variant."""

    rules = (exactly_one("header", "cookie"),)

    header: HeaderName | None = Field(default=None, description="A header whose value identifies the user.")
    cookie: CookieName | None = Field(default=None, description="A cookie whose value identifies the user.")


class Shadow(Model):
    """An app that gets copies of requests."""

    app: ObjectName = Field(description="The app of this pipeline that gets the copies; not a trafficSplit.")
    percent: Annotated[int, Field(ge=1, le=100)] = Field(description="Percentage of the requests that are copied.")


class TrafficSplit(Deployment, AppKind):
    """Passes each request on to one of several apps, byte for byte, both ways, streams too."""

    may_load_models = False

    rules = (
        *Deployment.rules,
        Rule(
            cel="self.variants.exists(v, v.weight > 0)",
            message="every weight is 0; give at least one variant a weight above 0",
            holds=lambda split: any(variant.weight > 0 for variant in split.variants),
            at=("variants",),
        ),
        Rule(
            cel="self.variants.all(v, self.variants.exists_one(other,"
            " (has(other.name) ? other.name : other.app) == (has(v.name) ? v.name : v.app)))",
            message="two variants have the same name; the name of a variant without one is that of its app",
            holds=lambda split: len({variant.label for variant in split.variants}) == len(split.variants),
            at=("variants",),
        ),
    )

    variants: tuple[Variant, ...] = Field(
        min_length=1,
        max_length=16,
        description="The apps that share the requests.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["app"]},
    )
    sticky: Sticky | None = Field(
        default=None,
        description="Keeps a user on one variant. A change of weights moves as few users as possible. Requests "
        "without the header or cookie are split one by one.",
    )
    override_header: HeaderName | None = Field(
        default=None, description="A header that names the variant, for testers. An unknown name is answered with 400."
    )
    shadow: tuple[Shadow, ...] = Field(
        default=(),
        max_length=8,
        description=f"Apps that get copies of requests with up to {SplitArgs().shadow_max_body_bytes // MEBIBYTE} "
        "MiB of body. Their answers are dropped.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["app"]},
    )
    timeout_seconds: PositiveSeconds = Field(
        default=600, description="Time limit from a request's arrival to the last byte of its answer."
    )
