"""The `batch` app, and the work on texts that it shares with the nodes of a graph."""

from typing import Annotated, Any, Literal

from pydantic import Field

from llmpipeline.api.limits import HttpDeployment
from llmpipeline.api.model import Model, any_object, exactly_one
from llmpipeline.api.models import ModelSource
from llmpipeline.api.names import ImportPath


class Classify(Model):
    """A sequence classifier of Transformers: a text in, label and score out."""

    model: ModelSource = Field(description="Where the model comes from.")


class Embed(Model):
    """A text encoder of Transformers: a text in, a vector of length 1 out."""

    model: ModelSource = Field(description="Where the model comes from.")
    pooling: Literal["Mean", "Cls"] | None = Field(
        default=None,
        description="How a text's vectors become one: Mean, their mean; Cls, the first token's. Default Mean.",
    )


class CustomCode(Model):
    """Code of your own. It must be in the Ray image or in the runtime environment."""

    import_path: ImportPath = Field(
        description="Where it is: MODULE:NAME of a function, or of a class whose instances are."
    )
    runtime_env: dict[str, Any] | None = any_object(
        "Ray's runtime environment for the app, like {env_vars: {A: b}} or {working_dir: URI of a zip file}."
    )


class Batch(HttpDeployment):
    """Requests that come together are worked on together; each is answered, or fails, alone."""

    rules = (
        *HttpDeployment.rules,
        exactly_one("classify", "embed", "custom"),
    )

    classify: Classify | None = Field(default=None, description="Classify texts.")
    embed: Embed | None = Field(default=None, description="Turn texts into vectors.")
    custom: CustomCode | None = Field(
        default=None, description="A function of your own, from a list of inputs to a list of as many outputs."
    )
    max_batch_size: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None, description="Most requests in one call of the model. Default 8. Changes while running."
    )
    batch_wait_milliseconds: Annotated[int, Field(ge=0, le=60_000)] | None = Field(
        default=None,
        description="How long a batch that is not full waits for more. Default 0: it takes what has come while the one "
        "before was worked on. Changes while running.",
    )
