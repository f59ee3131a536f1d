"""A `graph` app in the terms of Ray Serve."""

from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.graph import Node, Preprocess, Summarize
from llmpipeline.api.limits import HttpDeployment
from llmpipeline.api.models import ModelSource
from llmpipeline.plan.batch import classify_args, embed_args
from llmpipeline.plan.deployment import actor_options, demand, limits_args, options
from llmpipeline.plan.generate import DEFAULT_REQUESTS, engine_actor_options, engine_demand
from llmpipeline.plan.graph_order import default_input
from llmpipeline.plan.models import engine_args, sampling_args, secrets, source_args
from llmpipeline.plan.types import Application, Demand

INGRESS: Final = "Graph"
DEFAULT_INGRESS_REQUESTS: Final = 256
# Models of Transformers work on up to eight texts at once; as many again may wait beside them.
_ONGOING: Final = {"generate": DEFAULT_REQUESTS, "http": 64, "preprocess": 32}
_DEFAULT_ONGOING: Final = 16


def application(app: App) -> tuple[Application, tuple[Demand, ...]]:
    """The Serve application: a deployment for each node, and one that takes the requests and asks the nodes."""
    graph = app.graph
    assert graph is not None
    ingress = graph.ingress or HttpDeployment()
    args: dict[str, Any] = {"nodes": [_node_args(node, graph.nodes) for node in graph.nodes]}
    if graph.output is not None:
        args["output"] = graph.output
    if limits := limits_args(ingress):
        args["limits"] = limits
    front = {
        "name": INGRESS,
        **options(ingress, DEFAULT_INGRESS_REQUESTS),
        "ray_actor_options": actor_options(ingress),
    }
    planned = Application(
        name=app.name,
        route_prefix=app.route,
        import_path="llmpipeline_serve.graph.app:build",
        args=args,
        deployments=(front, *(_settings(node) for node in graph.nodes)),
        secrets=tuple(secret for node in graph.nodes for secret in secrets(model_of(node))),
    )
    demands = [_demand(app.name, node) for node in graph.nodes]
    return planned, (*demands, demand(app.name, ingress, "ingress", None))


def model_of(node: Node) -> ModelSource | None:
    """The model that a node loads, if it loads one."""
    if node.preprocess:
        return node.preprocess.tokenizer
    kind = node.classify or node.summarize or node.embed or node.generate
    return kind.model if kind else None


def kind_of(node: Node) -> str:
    """Which of the kinds a node is."""
    kinds = ("preprocess", "classify", "summarize", "embed", "generate", "http", "custom")
    return next(kind for kind in kinds if getattr(node, kind) is not None)


def _settings(node: Node) -> dict[str, Any]:
    actor = engine_actor_options(node, node.generate) if node.generate else actor_options(node)
    if node.custom and node.custom.runtime_env:
        actor["runtime_env"] = node.custom.runtime_env
    ongoing = _ONGOING.get(kind_of(node), _DEFAULT_ONGOING)
    return {"name": node.name, **options(node, ongoing), "ray_actor_options": actor}


def _demand(app: str, node: Node) -> Demand:
    part = f"node {node.name}"
    if node.generate:
        return engine_demand(app, node, node.generate, part, node.name)
    return demand(app, node, part, node.name)


def _node_args(node: Node, nodes: tuple[Node, ...]) -> dict[str, Any]:
    """As `llmpipeline_serve.graph.args.NodeArgs` has it."""
    args: dict[str, Any] = {"name": node.name, "after": list(node.after)}
    if node.when is not None:
        args["when"] = node.when
    if not node.generate:
        args["input"] = default_input(node, nodes) if node.input is None else node.input
    if node.timeout_seconds is not None:
        args["timeout_seconds"] = node.timeout_seconds
    if node.fallback is not None:
        args["fallback"] = node.fallback
    return args | {kind_of(node): _work_args(node)}


def _work_args(node: Node) -> dict[str, Any]:
    if node.preprocess:
        return _preprocess_args(node.preprocess)
    if node.classify:
        return classify_args(node.classify)
    if node.summarize:
        return _summarize_args(node.summarize)
    if node.embed:
        return embed_args(node.embed)
    if node.http:
        return {"url": node.http.url, "method": node.http.method}
    if node.custom:
        return {"import_path": node.custom.import_path}
    assert node.generate
    args = engine_args(node.generate) | {"prompt": node.generate.prompt}
    sampling = sampling_args(node.generate.sampling)
    return args | ({"sampling": sampling} if sampling else {})


def _preprocess_args(preprocess: Preprocess) -> dict[str, Any]:
    args: dict[str, Any] = {"lowercase": True} if preprocess.lowercase else {}
    if preprocess.tokenizer:
        args["tokenizer"] = source_args(preprocess.tokenizer)
    if preprocess.max_tokens:
        args["max_tokens"] = preprocess.max_tokens
    return args


def _summarize_args(summarize: Summarize) -> dict[str, Any]:
    plain = summarize.model_dump(exclude={"model"}, exclude_none=True)
    return {"model": source_args(summarize.model), **plain}
