"""What the `batch` app takes."""

from typing import Any, Final, Self

from pydantic import Field, model_validator

from llmpipeline_serve.contract.base import AppArgs, Limits
from llmpipeline_serve.contract.texts import SAMPLE_TEXT, ClassifierArgs, CustomArgs, EmbedderArgs, EmbedSettings

IMPORT_PATH: Final = "llmpipeline_serve.batch:build"


class BatchArgs(AppArgs):
    """Exactly one kind of work: what only a restart changes."""

    classify: ClassifierArgs | None = None
    embed: EmbedderArgs | None = None
    custom: CustomArgs | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.classify, self.embed, self.custom)) != 1:
            raise ValueError("give exactly one of classify, embed and custom")
        return self

    def question(self) -> dict[str, Any]:
        """A text for a model, anything for the user's own function."""
        return {"input": SAMPLE_TEXT} if self.custom else {"text": SAMPLE_TEXT}


class BatchSettings(AppArgs):
    """The `user_config` of its deployment: what may change while requests are in flight."""

    max_batch_size: int = Field(default=8, ge=1)
    batch_wait_milliseconds: int = Field(default=0, ge=0)
    embed: EmbedSettings = EmbedSettings()
    limits: Limits = Limits()
