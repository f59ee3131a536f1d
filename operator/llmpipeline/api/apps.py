"""The apps: what a pipeline serves. Each kind is one optional member of `App`, and exactly one is given."""

from typing import Annotated

from pydantic import Field

from llmpipeline.api.batch import Batch
from llmpipeline.api.custom import Custom
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.generate import Generate
from llmpipeline.api.graph import Graph
from llmpipeline.api.model import Model, exactly_one
from llmpipeline.api.names import ObjectName, RoutePrefix
from llmpipeline.api.openai import OpenAI
from llmpipeline.api.traffic_split import TrafficSplit


class Hello(Deployment):
    """The smallest app: answers GET with a greeting. It shows that a pipeline works, without a model."""

    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="What it answers. Default: a greeting."
    )


class App(Model):
    """One app of the pipeline: a name, a route and exactly one kind."""

    rules = (exactly_one("hello", "openai", "generate", "graph", "batch", "traffic_split", "custom"),)

    name: ObjectName = Field(description="The app's name, unique in the pipeline.")
    route_prefix: RoutePrefix | None = Field(
        default=None, description="The path under which it answers. Default /NAME; / takes what no other app does."
    )
    hello: Hello | None = Field(default=None, description="A greeting, to see that a pipeline works.")
    openai: OpenAI | None = Field(default=None, description="Models behind the OpenAI API, by Ray Serve LLM and vLLM.")
    generate: Generate | None = Field(default=None, description="One model that answers prompts, by vLLM.")
    graph: Graph | None = Field(default=None, description="A graph of nodes, each a deployment that scales alone.")
    batch: Batch | None = Field(default=None, description="Texts worked on in batches.")
    traffic_split: TrafficSplit | None = Field(
        default=None, description="Requests shared out among other apps of this pipeline, by weight."
    )
    custom: Custom | None = Field(default=None, description="A Ray Serve app of your own.")

    @property
    def route(self) -> str:
        """The path under which the app answers."""
        return self.route_prefix or f"/{self.name}"
