"""A `graph` app in the terms of Ray Serve."""

from collections.abc import Sequence
from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.defaults import ONGOING_REQUESTS
from llmpipeline.api.graph import Chat, Graph, Node, Preprocess, PythonStep
from llmpipeline.api.http_deployment import HttpDeployment
from llmpipeline.api.model_source import ModelSource
from llmpipeline.plan.apps.application import Application, Planned, Setting
from llmpipeline.plan.apps.deployment import actor_options, demand, limits_args, options
from llmpipeline.plan.apps.engine import engine_actor_options, engine_demand
from llmpipeline.plan.apps.models import (
    classify_args,
    custom_args,
    embed_args,
    embed_settings,
    engine_args,
    sampling_args,
    secrets,
    source_args,
)
from llmpipeline.plan.capacity.demand import Demand
from llmpipeline_serve.contract.base import AppArgs, Limits
from llmpipeline_serve.contract.environment import CODE_FOLDER, PYTHON_PATH
from llmpipeline_serve.contract.graph import (
    IMPORT_PATH,
    INGRESS,
    ChatSettings,
    CustomSettings,
    GenerateNodeSettings,
    GraphArgs,
    GraphSettings,
    HttpArgs,
    HttpSettings,
    MessageSettings,
    NodeArgs,
    PreprocessArgs,
    PreprocessSettings,
    StepSettings,
)
from llmpipeline_serve.contract.models import EngineArgs
from llmpipeline_serve.contract.texts import SummarizerArgs, SummarizeSettings

# What templates call the body of the request.
REQUEST: Final = "request"


def planned(app: App, graph: Graph, _: Setting) -> Planned:
    """The Serve application: a deployment for each node, and one that takes the requests and asks the nodes."""
    ingress = graph.ingress or HttpDeployment()
    args = GraphArgs(nodes=tuple(NodeArgs.of(name=node.name, **{node.kind: _work_args(node)}) for node in graph.nodes))
    settings = GraphSettings.of(
        nodes=tuple(_step(node, graph.nodes) for node in graph.nodes),
        output=graph.output,
        chat=graph.chat and ChatSettings(model=graph.chat.model, answer=chat_answer(graph.chat, graph.nodes)),
        limits=limits_args(ingress, Limits),
    )
    front = {
        "name": INGRESS,
        **options(ingress, ONGOING_REQUESTS.graph_ingress),
        "user_config": settings.written(),
        "ray_actor_options": actor_options(ingress),
    }
    application = Application(
        name=app.name,
        route_prefix=app.route,
        import_path=IMPORT_PATH,
        args=args.written(),
        deployments=(front, *(_deployment(node, ingress) for node in graph.nodes)),
        secrets=tuple(secret for node in graph.nodes for secret in secrets(_model_of(node))),
    )
    demands = [_demand(app.name, node) for node in graph.nodes]
    return Planned(application, (*demands, demand(app.name, INGRESS, ingress, "ingress", None)))


def chat_answer(chat: Chat, nodes: Sequence[Node]) -> str:
    """The expression for the answer of a chat: the user's, else the text of the last node."""
    if chat.answer is not None:
        return chat.answer
    # Without a last node they wait for each other, which a check rejects.
    return f"{(last_nodes(nodes) or nodes)[0].name}.text"


def last_nodes(nodes: Sequence[Node]) -> list[Node]:
    """The nodes that no other node comes after."""
    waited_for = {name for node in nodes for name in node.after}
    return [node for node in nodes if node.name not in waited_for]


def default_input(node: Node, nodes: Sequence[Node]) -> str:
    """The expression for what a node works on if the user gives none.

    A text: of the one node before it that makes texts, else of the request. A call of a service or of the user's own
    code: the request and the results of all nodes that it comes after.
    """
    if node.http or node.custom:
        return "{" + ", ".join(f"'{name}': {name}" for name in (REQUEST, *node.after)) + "}"
    writers = writers_before(node, nodes)
    return f"{writers[0]}.text" if writers else f"{REQUEST}.text"


def writers_before(node: Node, nodes: Sequence[Node]) -> list[str]:
    """The nodes that it comes after and that make texts."""
    return [name for name in writers(nodes) if name in node.after]


def writers(nodes: Sequence[Node]) -> list[str]:
    """The nodes whose result has a text."""
    return [node.name for node in nodes if node.preprocess or node.summarize or node.generate]


def _model_of(node: Node) -> ModelSource | None:
    """The model that a node loads, if it loads one."""
    if node.preprocess:
        return node.preprocess.tokenizer
    work = node.classify or node.summarize or node.embed or node.generate
    return work.model if work else None


def _deployment(node: Node, ingress: HttpDeployment) -> dict[str, Any]:
    actor = engine_actor_options(node, node.generate) if node.generate else actor_options(node)
    if node.custom and (runtime_env := _runtime_env(node.custom)):
        actor["runtime_env"] = runtime_env
    ongoing = ONGOING_REQUESTS.node(node.kind)
    settings = _settings(node, ingress)
    # Rendered if nothing is set, too: Serve would not tell a replica that its settings are gone.
    user_config = {} if settings is None else {"user_config": settings.written()}
    return {"name": node.name, **options(node, ongoing), **user_config, "ray_actor_options": actor}


def _runtime_env(step: PythonStep) -> dict[str, Any]:
    """The user's runtime environment, in which the code of a ConfigMap can be imported."""
    given = dict(step.runtime_env or {})
    variables = given.get("env_vars", {})
    if step.code is None or not isinstance(variables, dict):  # which is a problem (see `checks.runtime_env`)
        return given
    # Ray puts the variable of the Pod in place of the last.
    rest = variables.get(PYTHON_PATH, f"${{{PYTHON_PATH}}}")
    path = f"{CODE_FOLDER}/{step.code.config_map}:{rest}"
    return {**given, "env_vars": {**variables, PYTHON_PATH: path}}


def _demand(app: str, node: Node) -> Demand:
    part = f"node {node.name}"
    if node.generate:
        return engine_demand(app, node.name, node, node.generate, part, node.name)
    return demand(app, node.name, node, part, node.name)


def _step(node: Node, nodes: tuple[Node, ...]) -> StepSettings:
    """The node's part in a request."""
    given = default_input(node, nodes) if node.input is None else node.input
    return StepSettings.of(
        name=node.name,
        after=node.after,
        when=node.when,
        input=None if node.generate else given,
        prompt=node.generate and node.generate.prompt,
        messages=_messages(node),
        timeout_seconds=node.timeout_seconds,
        fallback=node.fallback,
    )


def _messages(node: Node) -> tuple[MessageSettings, ...] | None:
    declared = node.generate and node.generate.messages
    return tuple(MessageSettings.of(**dict(message)) for message in declared) if declared else None


def _work_args(node: Node) -> AppArgs:
    """What the node's deployment is built with: a change restarts it."""
    if node.preprocess:
        return PreprocessArgs.of(tokenizer=node.preprocess.tokenizer and source_args(node.preprocess.tokenizer))
    if node.classify:
        return classify_args(node.classify)
    if node.summarize:
        return SummarizerArgs(model=source_args(node.summarize.model))
    if node.embed:
        return embed_args(node.embed)
    if node.http:
        return HttpArgs()
    if node.custom:
        return custom_args(node.custom)
    assert node.generate
    return EngineArgs(**engine_args(node.generate))


def _settings(node: Node, ingress: HttpDeployment) -> AppArgs | None:
    """What Serve hands to the node's running replicas; None if its deployment takes nothing."""
    if node.preprocess:
        return _preprocess_settings(node.preprocess)
    if node.summarize:
        return SummarizeSettings.of(**node.summarize.model_dump(exclude={"model"}, exclude_none=True))
    if node.embed:
        return embed_settings(node.embed)
    if node.http:
        # The one that waits for a call may have died, so the call has the limit of its own.
        seconds = node.timeout_seconds or ingress.timeout_seconds
        return HttpSettings.of(url=node.http.url, method=node.http.method, timeout_seconds=seconds)
    if node.generate:
        chat = True if node.generate.messages else None
        return GenerateNodeSettings.of(sampling=sampling_args(node.generate.sampling), chat=chat)
    if node.custom:
        threads = node.max_ongoing_requests or ONGOING_REQUESTS.node(node.kind)
        return CustomSettings.of(args=node.custom.args or None, threads=threads)
    return None


def _preprocess_settings(preprocess: Preprocess) -> PreprocessSettings:
    return PreprocessSettings.of(lowercase=preprocess.lowercase or None, max_tokens=preprocess.max_tokens)
