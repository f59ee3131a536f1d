"""What a change of an app's settings does to the Serve config, and what the apps make of them; on Ray: tests/apps.

Ray Serve restarts every replica of an app whose `args` change, and hands a changed `user_config` to running ones.
"""

from typing import Any

import pytest

from llmpipeline_serve.contract.base import AppArgs
from llmpipeline_serve.contract.catalog import APPS
from llmpipeline_serve.contract.graph import NODE_SETTINGS, GraphSettings, HttpSettings, StepSettings
from support.pipelines import Document, pipeline, plan_of

MODEL = {"path": "/m"}
LIMITS = {"timeoutSeconds": 5, "maxBodySize": "1Mi", "logPrompts": True}
WRITTEN_LIMITS = {"timeout_seconds": 5, "max_body_bytes": 2**20, "log_prompts": True}
SAMPLING = {"temperature": 0.1, "topP": 0.5, "topK": 3, "maxTokens": 9, "stop": ["."]}
WRITTEN_SAMPLING = {"temperature": 0.1, "top_p": 0.5, "top_k": 3, "max_tokens": 9, "stop": ["."]}


def application(kind: str, block: Document) -> Any:
    (found,) = plan_of(pipeline({"name": "a", kind: block})).applications
    return found


def user_configs(app: Any) -> dict[str, Any]:
    return {deployment["name"]: deployment.get("user_config") for deployment in app.deployments}


def graph(reply: Document, **fields: Any) -> Document:
    """Every kind of node: `reply` holds fields of each, by its name."""
    nodes: list[Document] = [
        {"name": "clean", "preprocess": {"tokenizer": MODEL}},
        {"name": "kind", "classify": {"model": MODEL}},
        {"name": "short", "summarize": {"model": MODEL}},
        {"name": "vector", "embed": {"model": MODEL}},
        {"name": "reply", "generate": {"model": MODEL, "prompt": "x"}},
        {"name": "call", "http": {"url": "http://a.example"}},
        {"name": "mine", "custom": {"importPath": "a:b"}},
    ]
    for node in nodes:
        for name, value in reply.get(node["name"], {}).items():
            node[name] = {**node[name], **value} if isinstance(value, dict) and name in node else value
    return {"nodes": nodes, **fields}


GRAPH: Document = graph({})
CHANGES: list[tuple[str, Document, Document]] = [
    ("hello", {}, {"message": "ho"}),
    ("generate", {"model": MODEL}, {"model": MODEL, "sampling": SAMPLING, **LIMITS}),
    ("batch", {"classify": {"model": MODEL}}, {"classify": {"model": MODEL}, **LIMITS, "batchWaitMilliseconds": 5}),
    ("batch", {"embed": {"model": MODEL}}, {"embed": {"model": MODEL, "pooling": "Cls"}, **LIMITS}),
    ("batch", {"custom": {"importPath": "a:b"}}, {"custom": {"importPath": "a:b"}, **LIMITS}),
    ("graph", GRAPH, {**GRAPH, "ingress": LIMITS}),
    ("graph", GRAPH, {**GRAPH, "output": {node["name"]: node["name"] for node in GRAPH["nodes"]}}),
    ("graph", GRAPH, graph({"kind": {"after": ["clean"], "when": "clean.text", "input": "clean.text"}})),
    ("graph", GRAPH, graph({"kind": {"timeoutSeconds": 9, "fallback": {"label": "?"}}})),
    ("graph", GRAPH, graph({"clean": {"preprocess": {"lowercase": True, "maxTokens": 5}}})),
    ("graph", GRAPH, graph({"short": {"summarize": {"minimumWords": 1, "maxTokens": 2, "prefix": "a: "}}})),
    ("graph", GRAPH, graph({"vector": {"embed": {"pooling": "Cls"}}})),
    ("graph", GRAPH, graph({"reply": {"generate": {"prompt": "y", "sampling": SAMPLING}}})),
    ("graph", GRAPH, graph({"call": {"http": {"url": "http://b.example", "method": "PUT"}, "timeoutSeconds": 9}})),
]


@pytest.mark.parametrize(("kind", "was", "now"), CHANGES)
def test_a_change_of_settings_is_in_the_user_config_alone(kind: str, was: Document, now: Document) -> None:
    before, after = application(kind, was), application(kind, now)
    assert before.args == after.args
    changed = {
        key
        for one, other in zip(before.deployments, after.deployments, strict=True)
        for key in one.keys() | other.keys()
        if one.get(key) != other.get(key)
    }
    assert changed <= {"user_config", "max_ongoing_requests", "max_queued_requests"}
    assert "user_config" in changed


@pytest.mark.parametrize(("kind", "block"), [(kind, block) for kind, *blocks in CHANGES for block in blocks])
def test_the_apps_take_the_settings_that_are_rendered(kind: str, block: Document) -> None:
    app = application(kind, block)
    bundled = APPS[app.import_path]
    args = bundled.args.model_validate(app.args)
    for name, config in user_configs(app).items():
        taken = bundled.settings_of(args, name)
        assert (taken is None) == (config is None), name
        if taken:
            assert taken.model_validate(config).written() == config


def test_what_is_rendered() -> None:
    assert user_configs(application("hello", {"message": "ho"})) == {"Hello": {"message": "ho"}}
    generate = application("generate", {"model": MODEL, "sampling": SAMPLING, **LIMITS})
    assert generate.args == {"model": MODEL, "engine": {}}
    assert user_configs(generate) == {"Generate": {"sampling": WRITTEN_SAMPLING, "limits": WRITTEN_LIMITS}}
    batch = application("batch", {"embed": {"model": MODEL, "pooling": "Cls"}, **LIMITS})
    assert batch.args == {"embed": {"model": MODEL}}
    rest = {"embed": {"pooling": "cls"}, "limits": WRITTEN_LIMITS}
    assert user_configs(batch) == {"Batch": {"max_batch_size": 8, "batch_wait_milliseconds": 0, **rest}}


def test_what_is_rendered_of_a_graph() -> None:
    app = application("graph", graph({"kind": {"after": ["clean"]}}, ingress={"timeoutSeconds": 7}))
    assert app.args["nodes"][:2] == [
        {"name": "clean", "preprocess": {"tokenizer": MODEL}},
        {"name": "kind", "classify": {"model": MODEL}},
    ]
    found = user_configs(app)
    clean, kind, *_, reply, _, _ = found.pop("Graph")["nodes"]
    assert clean == {"name": "clean", "after": [], "input": "request.text"}
    assert kind == {"name": "kind", "after": ["clean"], "input": "clean.text"}
    assert reply == {"name": "reply", "after": [], "prompt": "x"}
    # A call of a service has a limit of its own: the node's, else that of the whole request.
    call = {"url": "http://a.example", "method": "POST", "timeout_seconds": 7}
    unset: dict[str, Any] = {"clean": {}, "short": {}, "vector": {}, "reply": {}}
    assert found == {**unset, "call": call, "kind": None, "mine": {"threads": 16}}


@pytest.mark.parametrize(
    "kind", [it for it in (*(app.settings for app in APPS.values()), *NODE_SETTINGS.values()) if it is not HttpSettings]
)
def test_settings_may_be_absent(kind: type[AppArgs] | None) -> None:
    """A replica works by the defaults until it is handed others. A service's address and variants have none."""
    assert kind is not None
    if all(not field.is_required() for field in kind.model_fields.values()):
        assert kind.model_validate({}).written() == {}
    else:
        assert kind is APPS["llmpipeline_serve.traffic_split.app:build"].settings


def test_a_graph_without_settings_gives_each_node_the_request() -> None:
    found = GraphSettings().for_nodes(["a", "b"])
    assert found.nodes == (StepSettings(name="a"), StepSettings(name="b"))
    assert found.nodes[0].input == "request"


def test_the_settings_of_a_node_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="the graph has no node c"):
        GraphSettings(nodes=(StepSettings(name="c"),)).for_nodes(["a", "b"])


def test_the_steps_are_in_the_order_of_the_nodes() -> None:
    steps = (StepSettings(name="b", when="false"), StepSettings(name="a"))
    assert [step.name for step in GraphSettings(nodes=steps).for_nodes(["a", "b"]).nodes] == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "was", "now"),
    [
        ("generate", {"model": MODEL}, {"model": {"path": "/other"}}),
        ("generate", {"model": MODEL}, {"model": MODEL, "engine": {"maxModelLength": 9}}),
        ("batch", {"embed": {"model": MODEL}}, {"embed": {"model": {"path": "/other"}}}),
        ("graph", GRAPH, graph({"clean": {"preprocess": {"tokenizer": {"path": "/other"}}}})),
        ("graph", GRAPH, graph({"reply": {"generate": {"model": {"path": "/other"}}}})),
        ("graph", GRAPH, graph({"mine": {"custom": {"importPath": "a:other"}}})),
        ("graph", GRAPH, {"nodes": GRAPH["nodes"][:-1]}),
    ],
)
def test_what_a_model_is_loaded_by_is_an_argument(kind: str, was: Document, now: Document) -> None:
    assert application(kind, was).args != application(kind, now).args
