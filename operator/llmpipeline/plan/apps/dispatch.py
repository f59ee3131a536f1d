"""Each app of the resource as a Serve application, by its kind."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from llmpipeline.api.apps import App, Hello
from llmpipeline.api.batch import Batch
from llmpipeline.api.custom import Custom
from llmpipeline.api.generate import Generate
from llmpipeline.api.graph import Graph
from llmpipeline.api.kind import AppKind
from llmpipeline.api.openai import OpenAI
from llmpipeline.api.traffic_split import TrafficSplit
from llmpipeline.plan.apps import batch, custom, generate, graph, hello, openai, traffic_split
from llmpipeline.plan.apps.application import Planned, Setting

PLANNERS: Final[Mapping[type[AppKind], Callable[[App, Any, Setting], Planned]]] = {
    Hello: hello.planned,
    OpenAI: openai.planned,
    Generate: generate.planned,
    Graph: graph.planned,
    Batch: batch.planned,
    TrafficSplit: traffic_split.planned,
    Custom: custom.planned,
}


def planned(app: App, setting: Setting) -> Planned:
    """The Serve application of one app, and what its deployments take."""
    return PLANNERS[type(app.kind)](app, app.kind, setting)
