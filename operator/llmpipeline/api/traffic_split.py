"""The `trafficSplit` app: requests shared out among other apps of the pipeline."""

from typing import Annotated

from pydantic import Field

from llmpipeline.api.deployment import Deployment, PositiveSeconds
from llmpipeline.api.model import Model, Rule, exactly_one, named_list
from llmpipeline.api.names import ObjectName

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
CookieName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
# Requests are dealt from a deck that has a card for each unit of weight, so weights stay small.
Weight = Annotated[int, Field(ge=0, le=1000)]


class Variant(Model):
    """One of the apps that share the requests."""

    name: ObjectName = Field(description="The variant's name: in metrics, in answers and in the override header.")
    app: ObjectName = Field(description="The app of this pipeline that answers; not a trafficSplit.")
    weight: Weight = Field(
        description="Its share of the requests: weight / sum of all weights. 0: only by the override header."
    )


class Sticky(Model):
    """What keeps a user with one variant."""

    rules = (exactly_one("header", "cookie"),)

    header: HeaderName | None = Field(default=None, description="A header whose value stands for the user.")
    cookie: CookieName | None = Field(default=None, description="A cookie whose value stands for the user.")


class Shadow(Model):
    """An app that gets copies of requests."""

    app: ObjectName = Field(description="The app of this pipeline that gets the copies; not a trafficSplit.")
    percent: Annotated[int, Field(ge=1, le=100)] = Field(description="Of the requests, how many are copied.")


class TrafficSplit(Deployment):
    """Passes each request on to one of several apps, byte for byte, both ways, streams too."""

    rules = (
        *Deployment.rules,
        Rule(
            cel="self.variants.exists(v, v.weight > 0)",
            message="every weight is 0; give at least one variant a weight above 0",
            holds=lambda split: any(variant.weight > 0 for variant in split.variants),
            at=("variants",),
        ),
    )

    variants: tuple[Variant, ...] = named_list("The apps that share the requests.", least=1, most=16)
    sticky: Sticky | None = Field(
        default=None,
        description="Keeps a user with one variant; a change of weights moves only as many as it must. Requests "
        "without the header or cookie are shared out one by one.",
    )
    override_header: HeaderName | None = Field(
        default=None, description="A header by which a tester names the variant. Unknown names are answered 400."
    )
    shadow: tuple[Shadow, ...] = Field(
        default=(),
        max_length=8,
        description="Apps that get copies of requests with up to 1 MiB of body; their answers are dropped.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["app"]},
    )
    timeout_seconds: PositiveSeconds = Field(
        default=600, description="From a request's arrival to the last byte of its answer."
    )
