"""Work on texts, which the `batch` app and the nodes of a graph share."""

from typing import ClassVar, Final, Literal

from pydantic import Field

from llmpipeline_serve.contract.base import AppArgs
from llmpipeline_serve.contract.models import ModelArgs

# A text long enough to be summarized.
SAMPLE_TEXT: Final = (
    "The replicas of the first deployment came up within a minute, and every request since was answered without an "
    "error, so that the people who had waited for the new model all week were glad to see it at last."
)


class EmbedSettings(AppArgs):
    """How a text becomes a vector: `pooling` makes one of its tokens', their mean or the first token's (`cls`)."""

    pooling: Literal["mean", "cls"] = "mean"


class SummarizeSettings(AppArgs):
    """How texts are shortened.

    Attributes:
        minimum_words: A text of fewer words is returned as it is.
        max_tokens: Of a summary.
        prefix: Put before each text, as T5 wants it: `summarize: `.
        beams: Of the beam search; 1 is greedy.
    """

    minimum_words: int = Field(default=30, ge=0)
    max_tokens: int = Field(default=128, ge=1)
    prefix: str = ""
    beams: int = Field(default=1, ge=1)


class TextModelArgs(AppArgs):
    """A model of Transformers; `task` says what for."""

    task: ClassVar[str]

    model: ModelArgs


class ClassifierArgs(TextModelArgs):
    """A sequence classifier."""

    task = "classify"


class EmbedderArgs(TextModelArgs):
    """A text encoder."""

    task = "embed"


class SummarizerArgs(TextModelArgs):
    """A sequence-to-sequence model that shortens texts."""

    task = "summarize"


class CustomArgs(AppArgs):
    """The user's own function: `import_path` is `MODULE:NAME` of it, or of a class of which an instance is one.

    In a batch it makes a list of outputs of a list of inputs, in a graph a JSON object of its input.
    """

    import_path: str
