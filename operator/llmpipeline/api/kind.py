"""What the kinds of apps have in common."""

from typing import ClassVar

from llmpipeline.api.base import Model


class AppKind(Model):
    """What one kind of app takes. Each kind is an optional member of `App`."""

    # Whether it gets the environment variables of the model cache.
    may_load_models: ClassVar[bool] = True
