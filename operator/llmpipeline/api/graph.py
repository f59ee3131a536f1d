"""The `graph` app: a declared DAG of deployments."""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from llmpipeline.api.base import Model, Rule, any_object, exactly_one, named_list
from llmpipeline.api.batch import Classify, Embed
from llmpipeline.api.code import UserCode
from llmpipeline.api.deployment import Deployment, PositiveSeconds
from llmpipeline.api.generate import EngineModel
from llmpipeline.api.http_deployment import HttpDeployment
from llmpipeline.api.kind import AppKind
from llmpipeline.api.model_source import ModelSource
from llmpipeline.api.name_types import ModelName, NodeName, ObjectName
from llmpipeline.api.run_code import run_code
from llmpipeline_serve.contract.texts import SummarizeSettings

# Jinja2, parsed when the resource is checked and evaluated in the app.
Source = Annotated[str, Field(min_length=1, max_length=16_384)]
# `code-` and it are the name of a volume.
LONGEST_CODE_NAME: Final = 58
_SUMMARY_DEFAULTS: Final = {name: field.default for name, field in SummarizeSettings.model_fields.items()}


class Preprocess(Model):
    """Cleans a text, says its language, and cuts it to a number of tokens: {text, language, length, tokens}."""

    rules = (
        Rule(
            cel="!has(self.maxTokens) || has(self.tokenizer)",
            message="maxTokens needs a tokenizer, which says what a token is",
            holds=lambda node: node.max_tokens is None or node.tokenizer is not None,
            at=("maxTokens",),
        ),
    )

    lowercase: bool = Field(default=False, description="Whether to convert the text to lower case.")
    tokenizer: ModelSource | None = Field(
        default=None, description="The model whose tokenizer counts the tokens. Needed for maxTokens."
    )
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="A longer text is truncated to this number of tokens."
    )


class Summarize(Model):
    """A sequence-to-sequence model of Transformers that shortens texts: {text, summarized}."""

    model: ModelSource = Field(description="Where the model comes from.")
    minimum_words: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        default=None,
        description=f"A text with fewer words is returned unchanged. Default {_SUMMARY_DEFAULTS['minimum_words']}.",
    )
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description=f"Maximum number of tokens of a summary. Default {_SUMMARY_DEFAULTS['max_tokens']}."
    )
    prefix: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description='Put before each text, as T5 models need it: "summarize: ".'
    )


class Message(Model):
    """A message for the model, or the place of a whole conversation among the messages."""

    rules = (
        exactly_one("content", "conversation"),
        Rule(
            cel="has(self.role) == has(self.content)",
            message="role goes with content: give both, or conversation alone",
            holds=lambda message: (message.role is None) == (message.content is None),
            at=("role",),
        ),
    )

    role: Literal["system", "user", "assistant"] | None = Field(default=None, description="Whose message it is.")
    content: Source | None = Field(
        default=None, description="A Jinja2 template over request and the nodes before it, like: {{ request.text }}"
    )
    conversation: Source | None = Field(
        default=None,
        description="A Jinja2 expression for a list of messages that are inserted here, like request.messages. Each "
        "has a role and a content.",
    )


class GenerateNode(EngineModel):
    """A model that answers a prompt or the messages of a chat: {text, finish_reason, usage}."""

    rules = (*EngineModel.rules, exactly_one("prompt", "messages"))

    prompt: Source | None = Field(
        default=None,
        description="A Jinja2 template over request and the nodes before it, like: Answer this: {{ clean.text }}. The "
        "model gets the text as it is, without a chat template.",
    )
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=32)] | None = Field(
        default=None,
        description="Messages, which the model's own chat template turns into a prompt. The model must have one.",
    )


class Http(Model):
    """A call of a service: {status, body}. An answer that is not 2xx is a failure of the node."""

    url: Annotated[str, Field(pattern=r"^https?://[^\t\n\f\r /]+(/[^\t\n\f\r ]*)?$", max_length=2048)] = Field(
        description="The address. It is fixed; no part of it comes from a request."
    )
    method: Literal["GET", "POST", "PUT"] = Field(
        default="POST", description="POST and PUT send the node's input as JSON."
    )


class CodeSource(Model):
    """Where code comes from that is not in the image."""

    config_map: Annotated[ObjectName, Field(max_length=LONGEST_CODE_NAME)] = Field(
        description="A ConfigMap in the pipeline's namespace. Each key is a file, like my_steps.py. A change of its "
        "content reaches new replicas alone; another ConfigMap needs a new Ray cluster.",
        json_schema_extra=run_code("custom code"),
    )


class PythonStep(UserCode):
    """A Python function as a step: sync or async, from the node's input to a JSON object."""

    code: CodeSource | None = Field(
        default=None, description="A small module that is not in the image: mounted into the Ray Pods, and importable."
    )
    args: dict[str, Any] | None = any_object(
        "Keyword arguments of the function, like {limit: 4}. A change of them restarts nothing."
    )


class Node(Deployment):
    """One step of the graph: a deployment of its own."""

    kinds: ClassVar = ("preprocess", "classify", "summarize", "embed", "generate", "http", "custom")
    rules = (*Deployment.rules, exactly_one(*kinds))

    name: NodeName = Field(
        description="The node's name, unique in the graph. Templates refer to its result by this name."
    )
    after: Annotated[tuple[NodeName, ...], Field(max_length=32)] = Field(
        default=(),
        description="The nodes whose results it needs. Nodes that do not wait for each other run in parallel.",
    )
    when: Source | None = Field(
        default=None,
        description="A Jinja2 expression, like sentiment.label == 'NEGATIVE'. If it is false, the node is skipped, "
        "and so is what needs its result. Templates can read NODE.skipped.",
    )
    input: Source | None = Field(
        default=None,
        description="A Jinja2 expression for the node's input. Default: the text of the node that it comes after, or "
        "request.text.",
    )
    timeout_seconds: PositiveSeconds | None = Field(
        default=None, description="A node that takes longer has failed. Default: timeoutSeconds of the graph's ingress."
    )
    fallback: dict[str, Any] | None = any_object("The result if the node fails. Without it, the request fails.")
    preprocess: Preprocess | None = Field(default=None, description="Clean a text and detect its language.")
    classify: Classify | None = Field(default=None, description="Classify a text: {label, score}.")
    summarize: Summarize | None = Field(default=None, description="Summarize a text: {text, summarized}.")
    embed: Embed | None = Field(default=None, description="Turn a text into a vector: {embedding}.")
    generate: GenerateNode | None = Field(
        default=None, description="Answer a prompt or messages: {text, finish_reason, usage}."
    )
    http: Http | None = Field(default=None, description="Call a service: {status, body}.")
    custom: PythonStep | None = Field(
        default=None, description="Your own function, sync or async, from the input to a JSON object."
    )

    @property
    def kind(self) -> str:
        """Which of the kinds it is."""
        return next(kind for kind in self.kinds if getattr(self, kind) is not None)


class Chat(Model):
    """OpenAI's chat protocol: POST /v1/chat/completions, streamed or not, and GET /v1/models."""

    model: ModelName = Field(description="The model ID that clients send, and that GET /v1/models lists.")
    answer: Source | None = Field(
        default=None,
        description="A Jinja2 expression for the answer's text. NODE.text of the last generate node is streamed token "
        "by token. Default: the text of the only node that no other node comes after.",
    )


class Graph(AppKind):
    """Nodes that work on one request together."""

    nodes: tuple[Node, ...] = named_list("The nodes. Each name is unique.", least=1, most=32)
    output: dict[str, Any] | None = any_object(
        "The answer: an object whose strings are Jinja2 expressions, like {summary: summary.text}. What "
        "needs a skipped node is null. Default: the results of the nodes that no other node comes after."
    )
    chat: Chat | None = Field(
        default=None,
        description="Answer OpenAI's chat protocol too, below routePrefix. Templates read request.messages, and "
        "request.text for the user's last message.",
    )
    ingress: HttpDeployment | None = Field(
        default=None, description="The deployment that receives the HTTP requests and calls the nodes."
    )
