"""The `batch` app, and the work on texts that it shares with the nodes of a graph."""

from typing import Annotated, Literal

from pydantic import Field

from llmpipeline.api.base import Model, exactly_one
from llmpipeline.api.code import UserCode
from llmpipeline.api.http_deployment import HttpDeployment
from llmpipeline.api.kind import AppKind
from llmpipeline.api.model_source import ModelSource
from llmpipeline_serve.contract.batch import BatchSettings


class Classify(Model):
    """A sequence classifier of Transformers: a text in, label and score out."""

    model: ModelSource = Field(description="Where the model comes from.")


class Embed(Model):
    """A text encoder of Transformers: a text in, a vector of length 1 out."""

    model: ModelSource = Field(description="Where the model comes from.")
    pooling: Literal["Mean", "Cls"] | None = Field(
        default=None,
        description="How the vectors of a text's tokens become one. Mean: their mean. Cls: the first token's vector. "
        "Default Mean.",
    )


class Batch(HttpDeployment, AppKind):
    """Requests that come together are worked on together; each is answered, or fails, alone."""

    rules = (
        *HttpDeployment.rules,
        exactly_one("classify", "embed", "custom"),
    )

    classify: Classify | None = Field(default=None, description="Classify texts.")
    embed: Embed | None = Field(default=None, description="Turn texts into vectors.")
    custom: UserCode | None = Field(
        default=None, description="Your own function, from a list of inputs to a list of as many outputs."
    )
    max_batch_size: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None,
        description="Maximum number of requests in one call of the model. Default "
        f"{BatchSettings().max_batch_size}. A change restarts nothing.",
    )
    batch_wait_milliseconds: Annotated[int, Field(ge=0, le=60_000)] | None = Field(
        default=None,
        description="How long a batch that is not full waits for more requests. Default "
        f"{BatchSettings().batch_wait_milliseconds}: it takes the requests that arrived while the "
        "previous batch was processed. A change restarts nothing.",
    )
