"""What an edit of each field of `spec.apps` and `spec.scale` does.

A block that the schema has in many places, like that of a deployment, is written once and applied wherever it is.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from support.effects.edits import IN_PLACE, LIVE, NEW, Document, Edit, Place, Restarts, Row, but, edit, inside, row

# --- What every deployment takes.


def _scaling(field: str, was: Any, now: Any, restarts: Restarts = "", **more: Any) -> Edit:
    beside = {"autoscaling": {"maxReplicas": 8, **more.pop("beside", {})}}
    return edit(f"autoscaling.{field}", was, now, IN_PLACE, restarts, beside=beside, **more)


def _taken(field: str, was: Any, now: Any, **beside: Any) -> Edit:
    return edit(
        f"resources.{field}", was, now, IN_PLACE, "deployment", derived=NEW, beside={"resources": beside}
    )  # fmt: skip


# Ray Serve imports a policy to check a config, so these are there.
_ONE, _OTHER = "math:floor", "math:ceil"
_POLICY: Final = {"policy": {"importPath": _ONE}}
DEPLOYMENT: Final = [
    edit("replicas", 4, 9, IN_PLACE, derived=LIVE),
    _scaling("minReplicas", 4, 9, derived=LIVE, beside={"maxReplicas": 16}),
    _scaling("maxReplicas", 8, 16, derived=LIVE),
    Edit(
        "autoscaling.maxReplicas",
        {"replicas": 4},
        {"autoscaling": {"minReplicas": 4, "maxReplicas": 8}},
        IN_PLACE,
        "app",
        LIVE,
        "instead of replicas",
    ),
    _scaling("targetOngoingRequests", 2, 3),
    _scaling("initialReplicas", 2, 3),
    _scaling("upscaleDelaySeconds", 20, 30),
    _scaling("downscaleDelaySeconds", 300, 400),
    _scaling("downscaleToZeroDelaySeconds", 300, 400, beside={"minReplicas": 0}),
    _scaling("upscaleFactor", 1.5, 2.0),
    _scaling("downscaleFactor", 1.5, 2.0),
    _scaling("lookBackPeriodSeconds", 40, 60),
    _scaling("metricsIntervalSeconds", 10, 5),
    _scaling("aggregation", "Mean", "Max"),
    _scaling("policy.importPath", _ONE, _OTHER, "app"),
    _scaling("policy.args", {"a": 1}, {"a": 2}, "app", beside=_POLICY),
    edit("maxOngoingRequests", 16, 32, IN_PLACE),
    edit("maxQueuedRequests", 200, 300, IN_PLACE),
    _taken("cpus", 1, 6),
    _taken("gpus", 1, 2),
    _taken("accelerator.type", "L4", "L40S", gpus=1),
    _taken("accelerator.partition", "1g.10gb", "2g.20gb", gpus=1, accelerator={"type": "A100"}),
    _taken("memory", "4Gi", "32Gi"),
    edit("healthCheck.periodSeconds", 10, 20, IN_PLACE),
    edit("healthCheck.timeoutSeconds", 30, 60, IN_PLACE),
    edit("gracefulShutdown.waitLoopSeconds", 2, 4, IN_PLACE),
    edit("gracefulShutdown.timeoutSeconds", 20, 40, IN_PLACE),
    edit("updateOrder", "StopFirst", "StartFirst", IN_PLACE, derived=LIVE),
]
# Of several deployments one more replica fits into the derived Pods that there are.
AMONG_OTHERS: Final = but(DEPLOYMENT, ("updateOrder",), derived=IN_PLACE)
# The GPUs of a model are those of its `accelerator`.
_GPUS: Final = ("resources.gpus", "resources.accelerator.")
MODEL_DEPLOYMENT: Final = [
    *(one for one in DEPLOYMENT if not one.field.startswith(_GPUS)),
    *(Edit(one.field, {}, one.now, "Rejected") for one in DEPLOYMENT if one.field.startswith(_GPUS)),
]


# --- What several apps have. An argument of an app restarts all of its replicas, and what is in the `user_config` of a
# deployment restarts none.

_REPOSITORY: Final = {"huggingFace": {"repository": "a/one"}}
_TOKEN: Final = {"huggingFace": {"repository": "a/one", "tokenSecretRef": {"name": "one", "key": "one"}}}
SOURCE: Final = [
    edit("huggingFace.repository", "a/one", "a/other", IN_PLACE, "app"),
    edit("huggingFace.revision", "v1", "v2", IN_PLACE, "app", beside=_REPOSITORY),
    edit("huggingFace.tokenSecretRef.name", "one", "other", NEW, beside=_TOKEN),
    edit("huggingFace.tokenSecretRef.key", "one", "other", NEW, beside=_TOKEN),
    edit("path", "/models/one", "/models/other", IN_PLACE, "app"),
    edit("uri", "s3://b/one", "s3://b/other", IN_PLACE, "app"),
]
# The same for every model, so the table has them once.
SHORT_SOURCE: Final = [
    edit("uri", "hf://a/one", "hf://a/one@v2", IN_PLACE, "app", how="another revision"),
    edit("uri", "pvc://models/one", "pvc://models/other", IN_PLACE, "app", how="in the same claim"),
    edit("uri", "pvc://one/model", "pvc://other/model", NEW, how="in another claim"),
]
MODEL: Final = {"path": "/models/one"}
ENGINE: Final = [
    edit("engine.maxModelLength", 2048, 4096, IN_PLACE, "app"),
    edit("engine.gpuMemoryUtilizationPercent", 80, 85, IN_PLACE, "app"),
    edit("engine.dtype", "auto", "float16", IN_PLACE, "app"),
    edit("engine.extra", {"max_num_seqs": 8}, {"max_num_seqs": 16}, IN_PLACE, "app"),
]


def _accelerator(restarts: Restarts) -> list[Edit]:
    return [
        edit(f"accelerator.{field}", was, now, IN_PLACE, restarts, derived=NEW, beside={"accelerator": beside})
        for field, was, now, beside in (
            ("type", "L4", "L40S", {}),
            ("partition", "1g.10gb", "2g.20gb", {"type": "A100"}),
            ("topology", "1x1", "2x2", {"type": "TPU-V6E"}),
        )
    ]


ENGINE_MODEL: Final = [
    *inside("model", SOURCE),
    *(one for one in _accelerator("deployment") if one.field != "accelerator.topology"),
    Edit(
        "accelerator.topology",
        {"accelerator": {"type": "L4"}},
        {"accelerator": {"type": "TPU-V6E", "topology": "1x1"}},
        "Rejected",
    ),
    edit("tensorParallelSize", 1, 2, IN_PLACE, "app", derived=NEW),
    *ENGINE,
    edit("sampling.temperature", 0.7, 0.8, IN_PLACE),
    edit("sampling.topP", 0.9, 0.95, IN_PLACE),
    edit("sampling.topK", 10, 20, IN_PLACE),
    edit("sampling.maxTokens", 100, 200, IN_PLACE),
    edit("sampling.stop", ["."], [".", "!"], IN_PLACE),
]
LIMITS: Final = [
    edit("timeoutSeconds", 30, 60, IN_PLACE),
    edit("maxBodySize", "1Mi", "2Mi", IN_PLACE),
    edit("logPrompts", False, True, IN_PLACE),
]
CLASSIFY: Final = inside("model", SOURCE)
EMBED: Final = [*CLASSIFY, edit("pooling", "Mean", "Cls", IN_PLACE, beside={"model": MODEL})]
_VARIABLES: Final = ({"env_vars": {"A": "1"}}, {"env_vars": {"A": "2"}})


def _code(restarts: Restarts) -> list[Edit]:
    return [
        edit("importPath", "my.code:one", "my.code:other", IN_PLACE, "app"),
        edit("runtimeEnv", *_VARIABLES, IN_PLACE, restarts, beside={"importPath": "my.code:one"}),
    ]


# --- The apps: where a block is in a spec, and what it needs there.

RAY: Final = {"version": "2.60.0", "image": "registry.example/ray:2.60.0"}
_ROOM: Final = {"minReplicas": 1, "maxReplicas": 4, "resources": {"cpus": 64, "memory": "256Gi"}}
# By what an app says where it runs on such a group.
GROUPS: Final = {
    '"L4"': {"name": "l4", "accelerator": {"type": "L4", "count": 8}},
    '"L40S"': {"name": "l40s", "accelerator": {"type": "L40S", "count": 8}},
    '"1g.10gb"': {"name": "small", "accelerator": {"type": "A100", "partition": "1g.10gb", "count": 8}},
    '"2g.20gb"': {"name": "large", "accelerator": {"type": "A100", "partition": "2g.20gb", "count": 8}},
    '"1x1"': {"name": "tpu", "accelerator": {"type": "TPU-V6E", "topology": "1x1", "count": 1}},
    '"2x2"': {"name": "tpus", "accelerator": {"type": "TPU-V6E", "topology": "2x2", "count": 4}},
    '"gpus"': {"name": "gpu", "accelerator": {"type": "T4", "count": 8}},
}


def of_apps() -> Iterator[Row]:
    """The rows of `spec.apps`, each block with worker groups given and derived."""
    hello = [
        *DEPLOYMENT,
        edit("message", "hi", "ho", IN_PLACE),
        _scaling("minReplicas", 4, 8, derived=LIVE, how="where nothing can grow any more"),
    ]
    yield from _app_rows("hello", {}, hello)
    yield from _of_openai()
    generate = {"model": MODEL, "accelerator": {"type": "L4"}}
    yield from _app_rows("generate", generate, [*MODEL_DEPLOYMENT, *LIMITS, *ENGINE_MODEL])
    yield from _of_graph()
    batch = [
        *DEPLOYMENT,
        *LIMITS,
        edit("maxBatchSize", 4, 8, IN_PLACE),
        edit("batchWaitMilliseconds", 10, 20, IN_PLACE),
    ]
    yield from _app_rows("batch", {"classify": {"model": MODEL}}, batch)
    work = [*inside("classify", CLASSIFY), *inside("embed", EMBED), *inside("custom", _code("app"))]
    yield from _app_rows("batch", {}, work)
    yield from _of_traffic_split()
    yield from _of_custom()
    app = [
        edit("name", "one", "other", IN_PLACE, how="another name"),
        edit("routePrefix", "/one", "/other", IN_PLACE),
    ]
    yield from _both("spec.apps", _spec, {"name": "app", "hello": {}}, app)
    yield from _of_objectives()
    one, other = {"name": "one", "hello": {}}, {"name": "other", "hello": {}}
    yield from _both(
        "spec",
        lambda block: _spec(*block["apps"]),
        {},
        [
            edit("apps", [one], [one, other], IN_PLACE, derived=NEW, how="one more"),
            edit("apps", [one, other], [one], IN_PLACE, derived=NEW, how="one fewer"),
        ],
    )


def _of_objectives() -> Iterator[Row]:
    """They are in a companion object alone, where one is asked for."""
    app = {"name": "app", "generate": {"model": MODEL}}
    monitored: Document = {"monitoring": {"prometheusRule": {}}}
    for one in inside(
        "objectives",
        [
            edit("latencyP99Milliseconds", 500, 900, "Companions"),
            edit("timeToFirstTokenP95Milliseconds", 500, 900, "Companions"),
            edit("errorRatePercent", 1, 0.5, "Companions"),
        ],
    ):
        yield row("spec.apps", lambda block: {**_spec(block), **monitored}, app, one)


def _of_openai() -> Iterator[Row]:
    model = {"name": "one", "source": MODEL, "accelerator": {"type": "L4"}}
    adapters = {"lora": {"uri": "s3://b/one"}}
    # Ray Serve LLM has what a replica takes, and whether it scales, among the arguments of the app.
    of_models = but(MODEL_DEPLOYMENT, ("resources.cpus", "resources.memory"), restarts="app")
    edits = [
        *of_models,
        *inside("source", [*SOURCE, *SHORT_SOURCE]),
        *_accelerator("app"),
        *ENGINE,
        edit("name", "one", "other", IN_PLACE, "app", how="another name"),
        edit("tensorParallelSize", 1, 2, IN_PLACE, "app", derived=NEW),
        edit("pipelineParallelSize", 1, 2, IN_PLACE, "app", derived=NEW),
        edit("placement", "StrictPack", "StrictSpread", IN_PLACE, "app", derived=NEW, beside={"tensorParallelSize": 2}),
        edit("task", "Generate", "Embed", IN_PLACE, "app"),
        edit("lora.uri", "s3://b/one", "s3://b/other", IN_PLACE, "app"),
        edit("lora.maxAdapters", 4, 8, IN_PLACE, "app", beside=adapters),
        edit("lora.maxRank", 16, 32, IN_PLACE, "app", beside=adapters),
        edit("routing", "Default", "PrefixAware", IN_PLACE, "app"),
        edit("prefill", None, {}, IN_PLACE, "app", derived=LIVE, how="given at all"),
    ]
    yield from _both("spec.apps.openai.models", lambda block: _app("openai", {"models": [block]}), model, edits)
    yield from _both(
        "spec.apps.openai.models.prefill",
        lambda block: _app("openai", {"models": [{**model, "prefill": block}]}),
        {},
        but(of_models, ("updateOrder",), derived=IN_PLACE),
    )
    ingress = but(AMONG_OTHERS, ("resources.",), restarts="app")
    # Where it no longer fits beside the model, it gets a group of its own.
    ingress = but(ingress, ("resources.cpus", "resources.memory", "resources.accelerator.type"), derived="AddWorkers")
    yield from _both(
        "spec.apps.openai.ingress", lambda block: _app("openai", {"models": [model], "ingress": block}), {}, ingress
    )
    second = {**model, "name": "other"}
    of_all = [
        edit("models", [model], [model, second], IN_PLACE, "app", derived=LIVE, how="one more"),
        edit("ingress", None, {}, IN_PLACE, "app", beside={"models": [model]}, how="given at all"),
    ]
    yield from _app_rows("openai", {"models": [model]}, of_all)


def _of_graph() -> Iterator[Row]:
    first = {"name": "first", "preprocess": {}}
    node = {"name": "one", "preprocess": {}}

    def one_node(block: Document) -> Document:
        return _app("graph", {"nodes": [first, block]})

    edits = [
        *AMONG_OTHERS,
        edit("name", "one", "other", IN_PLACE, "app", how="another name"),
        edit("after", [], ["first"], IN_PLACE),
        edit("when", "request.text", "not request.text", IN_PLACE),
        edit("input", "request.text", "request.title", IN_PLACE),
        edit("timeoutSeconds", 30, 60, IN_PLACE),
        edit("fallback", {"text": ""}, {"text": "?"}, IN_PLACE),
    ]
    yield from _both("spec.apps.graph.nodes", one_node, node, edits)
    prompt = {"prompt": "{{ request.text }}"}
    of_model, of_engine = (
        [one for one in ENGINE_MODEL if one.field.startswith("model.") is wanted] for wanted in (True, False)
    )
    counted = {"tokenizer": MODEL}
    summarized = {"model": MODEL}
    kinds = [
        edit("preprocess.lowercase", False, True, IN_PLACE),
        *inside("preprocess", inside("tokenizer", SOURCE)),
        edit("preprocess.maxTokens", 100, 200, IN_PLACE, beside={"preprocess": counted}),
        *inside("classify", CLASSIFY),
        *inside("embed", EMBED),
        *inside("summarize", inside("model", SOURCE)),
        edit("summarize.minimumWords", 10, 20, IN_PLACE, beside={"summarize": summarized}),
        edit("summarize.maxTokens", 100, 200, IN_PLACE, beside={"summarize": summarized}),
        edit("summarize.prefix", "a: ", "b: ", IN_PLACE, beside={"summarize": summarized}),
        *inside("generate", of_model, prompt),
        *inside("generate", of_engine, {**prompt, "model": MODEL, "accelerator": {"type": "L4"}}),
        edit(
            "generate.prompt", "{{ request.text }}", "Say: {{ request.text }}", IN_PLACE,
            beside={"generate": {"model": MODEL}},
        ),
        *_messages(),
        edit("http.url", "http://a.example", "http://b.example", IN_PLACE),
        edit("http.method", "POST", "PUT", IN_PLACE, beside={"http": {"url": "http://a.example"}}),
        *inside("custom", _code("deployment")),
        edit(
            "custom.code.configMap", "one", "other", NEW, "deployment",
            beside={"custom": {"importPath": "my.code:one"}},
        ),
        edit("custom.args", {"limit": 4}, {"limit": 5}, IN_PLACE, beside={"custom": {"importPath": "my.code:one"}}),
    ]  # fmt: skip
    yield from _both("spec.apps.graph.nodes", one_node, {"name": "one"}, kinds)
    ingress = [*AMONG_OTHERS, *LIMITS]
    yield from _both(
        "spec.apps.graph.ingress", lambda block: _app("graph", {"nodes": [first], "ingress": block}), {}, ingress
    )
    of_all = [
        edit("nodes", [first], [first, node], IN_PLACE, "app", derived=NEW, how="one more"),
        edit("chat.model", "one", "other", IN_PLACE),
        edit("chat.answer", "first.text", "first.text|upper", IN_PLACE, beside={"chat": {"model": "one"}}),
        edit("output", {"a": "first.text"}, {"b": "first.text"}, IN_PLACE, beside={"nodes": [first]}),
    ]
    yield from _app_rows("graph", {"nodes": [first]}, of_all)


def _messages() -> list[Edit]:
    """Of a node's chat: its messages are a list, so that each row has it whole."""
    user = {"role": "user", "content": "{{ request.text }}"}
    history = {"conversation": "request.messages"}
    changes = [
        ("messages", [user], [history, user]),
        ("messages.role", [user], [{**user, "role": "system"}]),
        ("messages.content", [user], [{**user, "content": "Say: {{ request.text }}"}]),
        ("messages.conversation", [history], [{"conversation": "request.history"}]),
    ]
    return [
        Edit(
            f"generate.{field}",
            {"generate": {"model": MODEL, "messages": was}},
            {"generate": {"model": MODEL, "messages": now}},
            IN_PLACE,
            how="one more" if field == "messages" else "",
        )
        for field, was, now in changes
    ]


def _of_traffic_split() -> Iterator[Row]:
    apps: list[Document] = [{"name": name, "hello": {}} for name in ("one", "other", "third")]
    variant = {"name": "stable", "app": "one", "weight": 9}
    second = {"name": "new", "app": "other", "weight": 1}

    def split(block: Document) -> Document:
        return _spec({"name": "app", "trafficSplit": block}, *apps)

    edits = [
        *AMONG_OTHERS,
        edit("variants", [variant], [variant, second], IN_PLACE, how="one more"),
        edit("sticky.header", "X-User", "X-Account", IN_PLACE),
        edit("sticky.cookie", "user", "account", IN_PLACE),
        edit("overrideHeader", "X-Variant", "X-Other", IN_PLACE),
        edit("shadow", [], [{"app": "other", "percent": 5}], IN_PLACE, how="one more"),
        edit("timeoutSeconds", 30, 60, IN_PLACE),
    ]
    yield from _both("spec.apps.trafficSplit", split, {"variants": [variant]}, edits)
    of_variant = [
        edit("name", "stable", "old", IN_PLACE),
        edit("app", "one", "third", IN_PLACE),
        edit("weight", 9, 5, IN_PLACE),
    ]
    yield from _both(
        "spec.apps.trafficSplit.variants", lambda block: split({"variants": [block, second]}), variant, of_variant
    )
    shadow = [edit("app", "one", "other", IN_PLACE), edit("percent", 5, 9, IN_PLACE)]
    yield from _both(
        "spec.apps.trafficSplit.shadow",
        lambda block: split({"variants": [variant], "shadow": [block]}),
        {"app": "one", "percent": 5},
        shadow,
    )


def _of_custom() -> Iterator[Row]:
    code = {"importPath": "my.code:one"}
    deployment = {"name": "One"}
    yield from _app_rows(
        "custom",
        {},
        [
            *_code("app"),
            edit("args", {"a": 1}, {"a": 2}, IN_PLACE, "app", beside=code),
            edit("deployments", [deployment], [deployment, {"name": "Other"}], IN_PLACE, derived=NEW, beside=code,
                 how="one more"),
        ],
    )  # fmt: skip
    yield from _both(
        "spec.apps.custom.deployments",
        lambda block: _app("custom", {**code, "deployments": [block]}),
        deployment,
        [*DEPLOYMENT, edit("name", "One", "Other", IN_PLACE, how="another name")],
    )


def _app_rows(kind: str, base: Document, edits: list[Edit]) -> Iterator[Row]:
    yield from _both(f"spec.apps.{kind}", lambda block: _app(kind, block), base, edits)


def _app(kind: str, block: Document) -> Document:
    return _spec({"name": "app", kind: block})


def _spec(*apps: Document) -> Document:
    return {"ray": RAY, "apps": list(apps)}


def _both(path: str, place: Place, base: Document, edits: list[Edit]) -> Iterator[Row]:
    """The rows of a block of an app: where the worker groups are given, and where they are derived."""
    for one in edits:
        derived = row(path, place, base, one)
        workers = {"workers": _groups_for(derived)}
        yield replace(derived, was={**derived.was, **workers}, now={**derived.now, **workers})
        yield replace(derived, kind=one.derived or one.kind, derived=True)


def _groups_for(one: Row) -> list[Document]:
    """Groups with room for both specs of a row."""
    said = json.dumps([one.was, one.now])
    return [{"name": "cpu", **_ROOM}, *({**group, **_ROOM} for mark, group in GROUPS.items() if mark in said)]


def of_scale() -> Iterator[Row]:
    """The rows of `spec.scale`, whose worker groups are derived: they are made for its bounds."""
    scale = {"app": "app", "replicas": 4, "minReplicas": 4, "maxReplicas": 8}
    apps: list[Document] = [{"name": name, "hello": {}} for name in ("app", "other")]
    edits = [
        edit("app", "app", "other", IN_PLACE),
        edit("replicas", 4, 5, IN_PLACE),
        edit("minReplicas", 4, 1, LIVE),
        edit("maxReplicas", 8, 12, LIVE),
    ]
    for one in edits:
        yield row("spec.scale", lambda block: {"ray": RAY, "apps": apps, "scale": block}, scale, one)
    given = {"ray": RAY, "apps": apps, "workers": [{"name": "cpu", "maxReplicas": 4, "resources": {"cpus": 8}}]}
    for field, was, now in (("minReplicas", 4, 3), ("maxReplicas", 8, 12)):
        one = edit(field, was, now, "Nothing", how="with worker groups given")
        yield row("spec.scale", lambda block: {**given, "scale": block}, scale, one)
    models = [{"name": name, "source": MODEL, "accelerator": {"type": "L4"}} for name in ("one", "other")]
    deployment = edit("deployment", "one", "other", IN_PLACE)
    two = _app("openai", {"models": models})
    yield row("spec.scale", lambda block: {**two, "scale": block}, scale, deployment)
