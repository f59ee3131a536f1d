"""The `graph` app: a declared DAG of deployments."""

from typing import Annotated, Any, Literal

from pydantic import Field

from llmpipeline.api.batch import Classify, CustomCode, Embed
from llmpipeline.api.deployment import Deployment, PositiveSeconds
from llmpipeline.api.generate import EngineModel
from llmpipeline.api.limits import HttpDeployment
from llmpipeline.api.model import Model, Rule, any_object, exactly_one, named_list
from llmpipeline.api.models import ModelSource
from llmpipeline.api.names import NodeName

# Jinja2, parsed when the resource is checked and evaluated in the app.
Source = Annotated[str, Field(min_length=1, max_length=16_384)]


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

    lowercase: bool = Field(default=False, description="Whether to make the text lower-case.")
    tokenizer: ModelSource | None = Field(
        default=None, description="The model whose tokenizer counts the tokens. Needed for maxTokens."
    )
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        default=None, description="A longer text is cut off after so many tokens."
    )


class Summarize(Model):
    """A sequence-to-sequence model of Transformers that shortens texts: {text, summarized}."""

    model: ModelSource = Field(description="Where the model comes from.")
    minimum_words: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        default=None, description="A text of fewer words is returned as it is. Default 30."
    )
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Most tokens of a summary. Default 128."
    )
    prefix: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description='Put before each text, as T5 wants it: "summarize: ".'
    )


class GenerateNode(EngineModel):
    """A model that answers a prompt: {text, finish_reason, usage}."""

    prompt: Source = Field(
        description="A Jinja2 template over request and the nodes before it, like: Answer this: {{ clean.text }}"
    )


class Http(Model):
    """A call of a service: {status, body}. An answer that is not 2xx is a failure of the node."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$", max_length=2048)] = Field(
        description="The address. It is fixed: no part of it comes from a request."
    )
    method: Literal["GET", "POST", "PUT"] = Field(
        default="POST", description="POST and PUT send the node's input as JSON."
    )


class Node(Deployment):
    """One step of the graph: a deployment of its own."""

    rules = (
        *Deployment.rules,
        exactly_one("preprocess", "classify", "summarize", "embed", "generate", "http", "custom"),
    )

    name: NodeName = Field(description="The node's name, unique in the graph; its result has this name in templates.")
    after: Annotated[tuple[NodeName, ...], Field(max_length=32)] = Field(
        default=(), description="The nodes whose results it needs. Nodes that do not wait for each other run at once."
    )
    when: Source | None = Field(
        default=None,
        description="A Jinja2 expression, like sentiment.label == 'NEGATIVE'. Where it is false the node is skipped, "
        "and so is what needs its result; its field skipped can be asked.",
    )
    input: Source | None = Field(
        default=None,
        description="A Jinja2 expression for what the node works on. Default: the text of the node it comes after, or "
        "request.text.",
    )
    timeout_seconds: PositiveSeconds | None = Field(
        default=None, description="A node that takes longer has failed. Default: the graph's."
    )
    fallback: dict[str, Any] | None = any_object("The result where the node fails. Without it the request fails.")
    preprocess: Preprocess | None = Field(default=None, description="Clean a text, and say its language.")
    classify: Classify | None = Field(default=None, description="Classify a text: {label, score}.")
    summarize: Summarize | None = Field(default=None, description="Shorten a text: {text, summarized}.")
    embed: Embed | None = Field(default=None, description="Turn a text into a vector: {embedding}.")
    generate: GenerateNode | None = Field(default=None, description="Answer a prompt: {text, finish_reason, usage}.")
    http: Http | None = Field(default=None, description="Call a service: {status, body}.")
    custom: CustomCode | None = Field(
        default=None, description="A function of your own, async or not, from the input to a JSON object."
    )


class Graph(Model):
    """Nodes that work on one request together."""

    nodes: tuple[Node, ...] = named_list("The nodes, told apart by name.", least=1, most=32)
    output: dict[str, Any] | None = any_object(
        "The answer: an object whose texts are Jinja2 expressions, like {summary: summary.text}. What needs a skipped "
        "node is null. Default: the results of the nodes that no other comes after."
    )
    ingress: HttpDeployment | None = Field(
        default=None, description="The deployment that takes the HTTP requests and asks the nodes."
    )
