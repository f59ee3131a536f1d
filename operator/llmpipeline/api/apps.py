"""The apps: what a pipeline serves. Each kind is one optional member of `App`, and exactly one is given."""

from typing import Annotated, ClassVar

from pydantic import Field

from llmpipeline.api.base import Model, Rule, exactly_one
from llmpipeline.api.batch import Batch
from llmpipeline.api.custom import Custom
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.generate import Generate
from llmpipeline.api.graph import Graph
from llmpipeline.api.kind import AppKind
from llmpipeline.api.name_types import ObjectName, RoutePrefix
from llmpipeline.api.openai import OpenAI
from llmpipeline.api.traffic_split import TrafficSplit
from llmpipeline_serve.contract.hello import HelloArgs

# The buckets of Prometheus end at ten minutes, so of a longer time nobody could say whether it is kept.
Milliseconds = Annotated[int, Field(ge=1, le=300_000)]


class Hello(Deployment, AppKind):
    """The smallest app: answers GET with a greeting. It shows that a pipeline works, without a model."""

    may_load_models = False

    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description=f"What it answers. Default: {HelloArgs().message}."
    )


class Objectives(Model):
    """What users of the app may expect. Changing them restarts nothing."""

    latency_p99_milliseconds: Milliseconds | None = Field(
        default=None, description="99 % of the requests are answered within this time, to the last byte."
    )
    time_to_first_token_p95_milliseconds: Milliseconds | None = Field(
        default=None, description="95 % of the requests have their first token within this time."
    )
    error_rate_percent: Annotated[float, Field(ge=0.001, le=50)] | None = Field(
        default=None,
        description="At most this share of the requests fails with a status of 500 or above. Without it, alerts use 1.",
    )


class App(Model):
    """One app of the pipeline: a name, a route and exactly one kind."""

    kinds: ClassVar = ("hello", "openai", "generate", "graph", "batch", "traffic_split", "custom")
    rules = (
        exactly_one(*kinds),
        Rule(
            cel="!has(self.objectives) || !has(self.objectives.timeToFirstTokenP95Milliseconds)"
            " || has(self.openai) || has(self.generate)",
            message="only openai and generate apps have a time to first token",
            holds=lambda app: (
                app.objectives is None
                or app.objectives.time_to_first_token_p95_milliseconds is None
                or bool(app.openai or app.generate)
            ),
            at=("objectives", "timeToFirstTokenP95Milliseconds"),
        ),
    )

    name: ObjectName = Field(description="The app's name, unique in the pipeline.")
    route_prefix: RoutePrefix | None = Field(
        default=None,
        description="The path prefix that it answers on. Default /NAME. The prefix / gets all requests that no other "
        "app gets.",
    )
    hello: Hello | None = Field(default=None, description="A greeting, to check that a pipeline works.")
    openai: OpenAI | None = Field(
        default=None, description="Models behind the OpenAI API, served by Ray Serve LLM and vLLM."
    )
    generate: Generate | None = Field(default=None, description="One model that answers prompts, served by vLLM.")
    graph: Graph | None = Field(
        default=None, description="A graph of nodes. Each node is a deployment that scales independently."
    )
    batch: Batch | None = Field(default=None, description="Texts that are processed in batches.")
    traffic_split: TrafficSplit | None = Field(
        default=None,
        description="Canary and A/B tests: requests are split among other apps of this pipeline, by weight.",
    )
    custom: Custom | None = Field(default=None, description="Your own Ray Serve app.")
    objectives: Objectives | None = Field(
        default=None,
        description="What users of the app may expect, for alerts, dashboards and llmpipeline status --slo.",
    )

    @property
    def route(self) -> str:
        """The path under which the app answers."""
        return self.route_prefix or f"/{self.name}"

    @property
    def kind(self) -> AppKind:
        """What the app is: the one of its kinds that is given."""
        found: AppKind = next(value for name in self.kinds if (value := getattr(self, name)) is not None)
        return found

    @property
    def named_deployments(self) -> dict[str, Deployment]:
        """Its deployments that `spec.scale` can name; an app that is one deployment has it under the empty name."""
        if isinstance(self.kind, Deployment):
            return {"": self.kind}
        lists = [value for _, value in self.kind if isinstance(value, tuple)]
        return {item.name: item for items in lists for item in items if isinstance(item, Deployment)}  # type: ignore[attr-defined]

    def with_deployment(self, name: str, block: Deployment) -> "App":
        """The app, with another block for the deployment of this name."""
        (member,) = (member for member in self.kinds if getattr(self, member) is self.kind)
        if isinstance(self.kind, Deployment):
            return self.model_copy(update={member: block})
        return self.model_copy(update={member: self.kind.model_copy(update=_lists(self.kind, name, block))})


def _lists(kind: AppKind, name: str, block: Deployment) -> dict[str, tuple[object, ...]]:
    """The lists of a kind, with another block for the item of this name."""
    return {
        field: tuple(block if getattr(item, "name", None) == name else item for item in value)
        for field, value in kind
        if isinstance(value, tuple)
    }
