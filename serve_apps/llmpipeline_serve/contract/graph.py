"""What the `graph` app takes.

The arguments decide on the deployments and on the models that these load. All else is in the `user_config` of the
deployment that works by it, and may change while requests are in flight.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from llmpipeline_serve.contract.base import AppArgs, Limits, Seconds
from llmpipeline_serve.contract.models import EngineArgs, ModelArgs, SamplingArgs
from llmpipeline_serve.contract.texts import (
    SAMPLE_TEXT,
    ClassifierArgs,
    CustomArgs,
    EmbedderArgs,
    EmbedSettings,
    SummarizerArgs,
    SummarizeSettings,
)

IMPORT_PATH: Final = "llmpipeline_serve.graph.app:build"
# The deployment that takes the requests; the others have the names of their nodes.
INGRESS: Final = "Graph"
# Whose a message of a chat is.
ROLES: Final = ("system", "user", "assistant")
KINDS: Final = ("preprocess", "classify", "summarize", "embed", "generate", "http", "custom")


class PreprocessArgs(AppArgs):
    """Cleaning of a text. `tokenizer` is the model whose tokenizer counts tokens."""

    tokenizer: ModelArgs | None = None


class PreprocessSettings(AppArgs):
    """The `user_config` of a node that cleans texts. `max_tokens` are counted by its tokenizer."""

    lowercase: bool = False
    max_tokens: int | None = Field(default=None, ge=1)


class GenerateNodeSettings(AppArgs):
    """The `user_config` of a node with an engine.

    Attributes:
        sampling: How tokens are chosen.
        chat: Whether it is asked with messages, which takes a model with a chat template.
    """

    sampling: SamplingArgs = SamplingArgs()
    chat: bool = False


class HttpArgs(AppArgs):
    """A call of a service: nothing that needs a restart."""


class HttpSettings(AppArgs):
    """The `user_config` of a node that calls a service. `timeout_seconds` bounds one call in all."""

    url: str
    method: Literal["GET", "POST", "PUT"] = "POST"
    timeout_seconds: Seconds = Limits().timeout_seconds


class CustomSettings(AppArgs):
    """The `user_config` of a node with the user's own function.

    Attributes:
        args: The function's keyword arguments.
        threads: The most calls at once of a function that is not async: as many as there may be requests in flight.
    """

    args: dict[str, Any] = Field(default_factory=dict)
    threads: int = Field(default=1, ge=1)


class NodeArgs(AppArgs):
    """One node, which is a deployment of this name."""

    name: str
    preprocess: PreprocessArgs | None = None
    classify: ClassifierArgs | None = None
    summarize: SummarizerArgs | None = None
    embed: EmbedderArgs | None = None
    generate: EngineArgs | None = None
    http: HttpArgs | None = None
    custom: CustomArgs | None = None

    @property
    def work(self) -> AppArgs:
        """What it does: the one of its kinds that is given."""
        found: AppArgs = next(value for kind in KINDS if (value := getattr(self, kind)) is not None)
        return found

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS)}")
        return self


# The `user_config` of a node's deployment, by what it does. What is not here takes none.
NODE_SETTINGS: Final[Mapping[type[AppArgs], type[AppArgs]]] = {
    PreprocessArgs: PreprocessSettings,
    SummarizerArgs: SummarizeSettings,
    EmbedderArgs: EmbedSettings,
    EngineArgs: GenerateNodeSettings,
    HttpArgs: HttpSettings,
    CustomArgs: CustomSettings,
}


class GraphArgs(AppArgs):
    """The nodes: what only a restart changes."""

    nodes: tuple[NodeArgs, ...] = Field(min_length=1)

    def settings_of(self, deployment: str) -> type[AppArgs] | None:
        """The `user_config` of a node's deployment; None if it takes none, or if there is no such node."""
        return next((NODE_SETTINGS.get(type(node.work)) for node in self.nodes if node.name == deployment), None)

    def question(self) -> dict[str, Any]:
        """A text, which the nodes of most graphs work on."""
        return {"text": SAMPLE_TEXT}


class MessageSettings(AppArgs):
    """A message for a model: `content` is a Jinja2 template. Or `conversation`: an expression for many messages."""

    role: str | None = None
    content: str | None = None
    conversation: str | None = None


class StepSettings(AppArgs):
    """A node's part in a request.

    Attributes:
        name: The node's.
        after: The nodes whose results it waits for.
        when: A Jinja2 expression over `request` and those results; the node is skipped if it is false.
        input: A Jinja2 expression for what it works on.
        prompt: A Jinja2 template for it instead.
        messages: Or messages, which the chat template of the node's model makes a prompt of.
        timeout_seconds: How long the node may take.
        fallback: The result if it fails.
    """

    name: str
    after: tuple[str, ...] = ()
    when: str | None = None
    input: str = "request"
    prompt: str | None = None
    messages: tuple[MessageSettings, ...] | None = None
    timeout_seconds: Seconds | None = None
    fallback: dict[str, Any] | None = None

    @property
    def asks_a_model(self) -> bool:
        """Whether its text comes from an engine, which gives it in pieces too."""
        return self.prompt is not None or self.messages is not None


class ChatSettings(AppArgs):
    """OpenAI's chat protocol: `model` is what clients call the graph, `answer` an expression for the answer's text."""

    model: str
    answer: str


class GraphSettings(AppArgs):
    """The `user_config` of the deployment that takes the requests.

    Attributes:
        nodes: The part of each node. One that is not listed works on the whole request.
        output: The answer: an object whose strings are Jinja2 expressions.
        chat: OpenAI's chat protocol under `/v1`; None: there is none.
        limits: What one request may take.
    """

    nodes: tuple[StepSettings, ...] = ()
    output: dict[str, Any] | None = None
    chat: ChatSettings | None = None
    limits: Limits = Limits()

    def for_nodes(self, names: Iterable[str]) -> Self:
        """The settings with a step for each of these nodes, in their order.

        Raises:
            ValueError: They are about a node that is not among these.
        """
        given = {step.name: step for step in self.nodes}
        steps = tuple(given.pop(name, StepSettings(name=name)) for name in names)
        if given:
            raise ValueError(f"the graph has no node {', '.join(given)}")
        return self.model_copy(update={"nodes": steps})
