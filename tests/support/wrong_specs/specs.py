"""Edits that make the sample wrong, shared by the tests through the API server and those through `validate`.

Each row: what is wrong, how the spec is changed, the field that is blamed, a part of the message of `validate`, and a
part of
the API server's. An accept beside each reject is the same edit made right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Edit = Callable[[Document], None]


def sample() -> Document:
    return {
        "apiVersion": "serving.llmpipeline.dev/v1alpha1",
        "kind": "LLMPipeline",
        "metadata": {"name": "sample", "namespace": "default"},
        "spec": {
            "ray": {"version": "2.60.0", "image": "registry.example/ray:2.60.0"},
            "apps": [
                {"name": "hello", "hello": {}},
                {
                    "name": "chat",
                    "routePrefix": "/",
                    "openai": {
                        "models": [
                            {
                                "name": "tiny",
                                "source": {"huggingFace": {"repository": "a/tiny"}},
                                "accelerator": {"type": "L4"},
                            }
                        ]
                    },
                },
                {"name": "mine", "custom": {"importPath": "my_app:build"}},
            ],
        },
    }


@dataclass(frozen=True)
class Case:
    name: str
    wrong: Edit
    right: Edit
    field: str
    says: str
    server_says: str


def _app(index: int, **fields: Any) -> Edit:
    return lambda document: document["spec"]["apps"][index].update(fields)


def _model(**fields: Any) -> Edit:
    return lambda document: document["spec"]["apps"][1]["openai"]["models"][0].update(fields)


def _spec(**fields: Any) -> Edit:
    return lambda document: document["spec"].update(fields)


def _ray(**fields: Any) -> Edit:
    return lambda document: document["spec"]["ray"].update(fields)


def _name(name: str) -> Edit:
    return lambda document: document["metadata"].update(name=name)


def _add_app(app: Document) -> Edit:
    return lambda document: document["spec"]["apps"].append(app)


def _graph(node: Document) -> Document:
    return {"name": "x", "graph": {"nodes": [{"name": "a", **node}]}}


def _split(**fields: Any) -> Edit:
    one = {"name": "a", "app": "hello", "weight": 1}
    return _add_app({"name": "front", "trafficSplit": {"variants": [one], **fields}})


_USER = {"role": "user", "content": "hi"}
_ASKED: Document = {"model": {"path": "/m"}, "messages": [_USER]}
_HELLO: Document = {"hello": {}}
_SOURCE = "spec.apps[1].openai.models[0].source"
_GROUP = {"name": "g", "maxReplicas": 2, "accelerator": {"type": "L4", "count": 1}}

CASES = [
    Case("unknown field", _spec(aps=[]), _spec(head={}), "spec.aps", "did you mean apps?", "unknown field"),
    Case(
        "unknown app kind",
        _add_app({"name": "x", "llama": {}}),
        _add_app({"name": "x", **_HELLO}),
        "spec.apps[3].llama",
        "unknown field",
        "unknown field",
    ),
    Case(
        "two kinds in one app",
        _app(0, custom={"importPath": "a:b"}),
        _app(0, hello={"message": "hi"}),
        "spec.apps[0]",
        "exactly one of hello, openai, generate",
        "exactly one of hello, openai, generate",
    ),
    Case(
        "no kind in an app",
        _add_app({"name": "x"}),
        _add_app({"name": "x", **_HELLO}),
        "spec.apps[3]",
        "exactly one of",
        "exactly one of",
    ),
    Case(
        "two apps of one name",
        _add_app({"name": "hello", "routePrefix": "/other", **_HELLO}),
        _add_app({"name": "hello-2", "routePrefix": "/other", **_HELLO}),
        "spec.apps[3].name",
        "duplicate name",
        "Duplicate value",
    ),
    Case(
        "two apps on one route",
        _add_app({"name": "x", "routePrefix": "/hello", **_HELLO}),
        _add_app({"name": "x", "routePrefix": "/hello-2", **_HELLO}),
        "spec.apps",
        "same routePrefix",
        "same routePrefix",
    ),
    Case(
        "a route inside another",
        _add_app({"name": "x", "routePrefix": "/hello/x", **_HELLO}),
        _add_app({"name": "x", "routePrefix": "/hellox", **_HELLO}),
        "spec.apps",
        "lies inside another's",
        "lies inside another's",
    ),
    Case("a name too long", _name("a" * 48), _name("a" * 47), "metadata.name", "at most 47", "at most 47"),
    Case("a name with a dot", _name("a.b"), _name("a-b"), "metadata.name", "letters, digits", "letters, digits"),
    Case(
        "a model source with no member",
        _model(source={}),
        _model(source={"path": "/models/tiny"}),
        _SOURCE,
        "exactly one of huggingFace, path and uri",
        "exactly one of huggingFace, path and uri",
    ),
    Case(
        "a model source with two members",
        _model(source={"path": "/models/tiny", "uri": "s3://bucket/tiny"}),
        _model(source={"uri": "s3://bucket/tiny"}),
        _SOURCE,
        "exactly one of",
        "exactly one of",
    ),
    Case(
        "replicas and autoscaling",
        _app(0, hello={"replicas": 1, "autoscaling": {"maxReplicas": 2}}),
        _app(0, hello={"autoscaling": {"maxReplicas": 2}}),
        "spec.apps[0].hello",
        "replicas or autoscaling",
        "replicas or autoscaling",
    ),
    Case(
        "a minimum above the maximum",
        _app(0, hello={"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}),
        _app(0, hello={"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}),
        "spec.apps[0].hello.autoscaling.minReplicas",
        "must not be above",
        "must not be above",
    ),
    Case(
        "a group's minimum above its maximum",
        _spec(workers=[{**_GROUP, "minReplicas": 3}]),
        _spec(workers=[{**_GROUP, "minReplicas": 2}]),
        "spec.workers[0].minReplicas",
        "must not be above",
        "must not be above",
    ),
    Case("an old Ray", _ray(version="2.55.9"), _ray(version="2.56.0"), "spec.ray.version", "or newer", "or newer"),
    Case(
        "a version that is a number",
        _ray(version=2.6),
        _ray(version="3.0.0"),
        "spec.ray.version",
        "must be a string",
        "string",
    ),
    Case("no apps", _spec(apps=[]), _spec(apps=[{"name": "x", **_HELLO}]), "spec.apps", "is empty", "at least 1"),
    Case(
        "not a quantity",
        _app(0, hello={"resources": {"cpus": "much"}}),
        _app(0, hello={"resources": {"cpus": "500m"}}),
        "spec.apps[0].hello.resources.cpus",
        "not a quantity",
        "should match",
    ),
    Case(
        "no replicas",
        _app(0, hello={"replicas": 0}),
        _app(0, hello={"autoscaling": {"minReplicas": 0, "maxReplicas": 1}}),
        "spec.apps[0].hello.replicas",
        "greater than or equal to 1",
        "greater than or equal to 1",
    ),
    Case(
        "a queue of none",
        _app(0, hello={"maxQueuedRequests": 0}),
        _app(0, hello={"maxQueuedRequests": -1}),
        "spec.apps[0].hello.maxQueuedRequests",
        "-1 (no limit)",
        "-1 (no limit)",
    ),
    Case(
        "a negative quantity",
        _app(0, hello={"resources": {"cpus": -1}}),
        _app(0, hello={"resources": {"cpus": 2}}),
        "spec.apps[0].hello.resources.cpus",
        "cannot be negative",
        "greater than or equal to 0",
    ),
    Case(
        "a GPU type in small letters",
        _model(accelerator={"type": "h100"}),
        _model(accelerator={"type": "H100"}),
        "spec.apps[1].openai.models[0].accelerator.type",
        "did you mean H100?",
        "should match",
    ),
    Case(
        "a graph's node of two kinds",
        _add_app(_graph({"preprocess": {}, "http": {"url": "http://a/b"}})),
        _add_app(_graph({"preprocess": {}})),
        "spec.apps[3].graph.nodes[0]",
        "exactly one of preprocess",
        "exactly one of preprocess",
    ),
    Case(
        "a node's name that is no variable",
        _add_app(_graph({"preprocess": {}, "name": "my-node"})),
        _add_app(_graph({"preprocess": {}, "name": "my_node"})),
        "spec.apps[3].graph.nodes[0].name",
        "does not match",
        "should match",
    ),
    Case(
        "tokens without a tokenizer",
        _add_app(_graph({"preprocess": {"maxTokens": 5}})),
        _add_app(_graph({"preprocess": {"maxTokens": 5, "tokenizer": {"path": "/t"}}})),
        "spec.apps[3].graph.nodes[0].preprocess.maxTokens",
        "needs a tokenizer",
        "needs a tokenizer",
    ),
    Case(
        "a model with a prompt and messages",
        _add_app(_graph({"generate": {**_ASKED, "prompt": "hi"}})),
        _add_app(_graph({"generate": _ASKED})),
        "spec.apps[3].graph.nodes[0].generate",
        "exactly one of prompt and messages",
        "exactly one of prompt and messages",
    ),
    Case(
        "a model that is asked nothing",
        _add_app(_graph({"generate": {"model": {"path": "/m"}}})),
        _add_app(_graph({"generate": {"model": {"path": "/m"}, "prompt": "hi"}})),
        "spec.apps[3].graph.nodes[0].generate",
        "exactly one of prompt and messages",
        "exactly one of prompt and messages",
    ),
    Case(
        "no message",
        _add_app(_graph({"generate": {**_ASKED, "messages": []}})),
        _add_app(_graph({"generate": {**_ASKED, "messages": [{"conversation": "request.messages"}]}})),
        "spec.apps[3].graph.nodes[0].generate.messages",
        "is empty",
        "at least 1",
    ),
    Case(
        "a message of nobody",
        _add_app(_graph({"generate": {**_ASKED, "messages": [{"content": "hi"}]}})),
        _add_app(_graph({"generate": {**_ASKED, "messages": [{"role": "system", "content": "hi"}]}})),
        "spec.apps[3].graph.nodes[0].generate.messages[0].role",
        "role goes with content",
        "role goes with content",
    ),
    Case(
        "a message that is a conversation too",
        _add_app(_graph({"generate": {**_ASKED, "messages": [{**_USER, "conversation": "request.messages"}]}})),
        _add_app(_graph({"generate": {**_ASKED, "messages": [{"conversation": "request.messages"}, _USER]}})),
        "spec.apps[3].graph.nodes[0].generate.messages[0]",
        "exactly one of content and conversation",
        "exactly one of content and conversation",
    ),
    Case(
        "a role that no chat has",
        _add_app(_graph({"generate": {**_ASKED, "messages": [{**_USER, "role": "User"}]}})),
        _add_app(_graph({"generate": {**_ASKED, "messages": [{**_USER, "role": "assistant"}]}})),
        "spec.apps[3].graph.nodes[0].generate.messages[0].role",
        "'user'",
        "Unsupported value",
    ),
    Case(
        "a chat with a model of no name",
        _add_app({"name": "x", "graph": {"nodes": [{"name": "a", "preprocess": {}}], "chat": {"answer": "a.text"}}}),
        _add_app({"name": "x", "graph": {"nodes": [{"name": "a", "preprocess": {}}], "chat": {"model": "a"}}}),
        "spec.apps[3].graph.chat.model",
        "is required",
        "Required value",
    ),
    Case(
        "a ConfigMap of no possible name",
        _add_app(_graph({"custom": {"importPath": "a:b", "code": {"configMap": "My_Steps"}}})),
        _add_app(_graph({"custom": {"importPath": "a:b", "code": {"configMap": "my-steps"}}})),
        "spec.apps[3].graph.nodes[0].custom.code.configMap",
        "does not match",
        "should match",
    ),
    Case(
        "a step with code from nowhere",
        _add_app(_graph({"custom": {"importPath": "a:b", "code": {}}})),
        _add_app(_graph({"custom": {"importPath": "a:b"}})),
        "spec.apps[3].graph.nodes[0].custom.code.configMap",
        "is required",
        "Required value",
    ),
    Case(
        "arguments of a step in a list",
        _add_app(_graph({"custom": {"importPath": "a:b", "args": [1]}})),
        _add_app(_graph({"custom": {"importPath": "a:b", "args": {"limit": 1}}})),
        "spec.apps[3].graph.nodes[0].custom.args",
        "must be an object",
        "object",
    ),
    Case(
        "a graph's node that may not wait and must not",
        _add_app(_graph({"preprocess": {}, "replicas": 1, "autoscaling": {"maxReplicas": 2}})),
        _add_app(_graph({"preprocess": {}, "autoscaling": {"maxReplicas": 2}})),
        "spec.apps[3].graph.nodes[0]",
        "replicas or autoscaling",
        "replicas or autoscaling",
    ),
    Case(
        "a batch of no kind",
        _add_app({"name": "x", "batch": {"maxBatchSize": 2}}),
        _add_app({"name": "x", "batch": {"classify": {"model": {"path": "/m"}}, "maxBatchSize": 2}}),
        "spec.apps[3].batch",
        "exactly one of classify, embed and custom",
        "exactly one of classify, embed and custom",
    ),
    Case(
        "tensor parallel on CPUs",
        _add_app({"name": "x", "generate": {"model": {"path": "/m"}, "tensorParallelSize": 2}}),
        _add_app(
            {
                "name": "x",
                "generate": {"model": {"path": "/m"}, "tensorParallelSize": 2, "accelerator": {"type": "L4"}},
            }
        ),
        "spec.apps[3].generate.tensorParallelSize",
        "give accelerator",
        "give accelerator",
    ),
    Case(
        "a temperature too high",
        _add_app({"name": "x", "generate": {"model": {"path": "/m"}, "sampling": {"temperature": 3}}}),
        _add_app({"name": "x", "generate": {"model": {"path": "/m"}, "sampling": {"temperature": 0.5}}}),
        "spec.apps[3].generate.sampling.temperature",
        "less than or equal to 2",
        "less than or equal to 2",
    ),
    Case(
        "a GPU type without GPUs",
        _app(0, hello={"resources": {"accelerator": {"type": "L4"}}}),
        _app(0, hello={"resources": {"accelerator": {"type": "L4"}, "gpus": 1}}),
        "spec.apps[0].hello.resources.accelerator",
        "give gpus too",
        "give gpus too",
    ),
    Case(
        "every weight 0",
        _split(variants=[{"name": "a", "app": "hello", "weight": 0}]),
        _split(),
        "spec.apps[3].trafficSplit.variants",
        "every weight is 0",
        "every weight is 0",
    ),
    Case(
        "two variants of one name",
        _split(variants=[{"app": "hello", "weight": 1}, {"name": "hello", "app": "chat", "weight": 1}]),
        _split(variants=[{"app": "hello", "weight": 1}, {"app": "chat", "weight": 1}]),
        "spec.apps[3].trafficSplit.variants",
        "two variants have the same name",
        "two variants have the same name",
    ),
    Case(
        "one app in two variants",
        _split(variants=[{"app": "hello", "weight": 1}, {"name": "again", "app": "hello", "weight": 1}]),
        _split(variants=[{"app": "hello", "weight": 1}]),
        "spec.apps[3].trafficSplit.variants[1].app",
        'duplicate app "hello"; apps are unique in this list',
        "Duplicate value",
    ),
    *(
        Case(
            f"a model's address {uri}",
            _model(source={"uri": uri}),
            _model(source={"uri": right}),
            f"{_SOURCE}.uri",
            "write it like hf://Qwen/Qwen3-8B, pvc://claim/folder or s3://bucket/folder",
            "should match",
        )
        for uri, right in (
            ("hf://a/b/c", "hf://a/b"),
            ("hf://a/b@", "hf://a/b@main"),
            ("pvc://Models", "pvc://models"),
            ("pvc:///models", "pvc://models/"),
            ("http://example.com/a", "s3://example.com/a"),
        )
    ),
    Case(
        "sticky by two",
        _split(sticky={"header": "A", "cookie": "b"}),
        _split(sticky={"cookie": "b"}),
        "spec.apps[3].trafficSplit.sticky",
        "exactly one of header and cookie",
        "exactly one of header and cookie",
    ),
    Case(
        "a model that embeds and is routed by prefix",
        _model(task="Embed", routing="PrefixAware"),
        _model(task="Generate", routing="PrefixAware"),
        "spec.apps[1].openai.models[0].task",
        "are for models that generate",
        "are for models that generate",
    ),
    Case(
        "a rank that vLLM does not take",
        _model(lora={"uri": "s3://a/b", "maxRank": 9}),
        _model(lora={"uri": "s3://a/b", "maxRank": 16}),
        "spec.apps[1].openai.models[0].lora.maxRank",
        "give the next larger one",
        "give the next larger one",
    ),
    Case(
        "prefill apart with adapters",
        _model(prefill={}, lora={"uri": "s3://a/b"}),
        _model(prefill={}),
        "spec.apps[1].openai.models[0].prefill",
        "goes with neither lora nor routing",
        "goes with neither lora nor routing",
    ),
]
