"""What the plan makes of generate, graph and batch, and what is rejected."""

from typing import Any

import pytest

from llmpipeline.plan.plan import Plan
from support.pipelines import Document, desired_of, pipeline, plan_of, says

MODEL = {"path": "/m"}


def with_app(app: Document, **ray: Any) -> Document:
    return pipeline({"name": "a", **app}, ray=ray)


def plan(app: Document, **ray: Any) -> Plan:
    return plan_of(with_app(app, **ray))


def problems(app: Document) -> list[str]:
    return [problem.removeprefix("spec.apps[0].") for problem in says(with_app(app))]


def graph(*nodes: Document, **fields: Any) -> Document:
    return {"graph": {"nodes": list(nodes), **fields}}


def node(name: str, *after: str, **fields: Any) -> Document:
    kind = (
        fields if fields.keys() & {"preprocess", "classify", "summarize", "embed", "generate", "http", "custom"} else {}
    )
    return {"name": name, "after": list(after), **({} if kind else {"preprocess": {}}), **fields}


def inputs(app: Document) -> dict[str, str]:
    front = desired_of(with_app(app)).plan.applications[0].deployments[0]
    return {step["name"]: step["input"] for step in front["user_config"]["nodes"]}


def test_a_node_works_on_the_text_before_it() -> None:
    classify = {"classify": {"model": MODEL}}
    nodes = [node("clean"), node("kind", "clean", **classify), node("again", "kind", "clean", **classify)]
    assert inputs(graph(*nodes)) == {"clean": "request.text", "kind": "clean.text", "again": "clean.text"}


def test_own_code_gets_all_that_is_before_it() -> None:
    nodes = [node("clean"), node("mine", "clean", custom={"importPath": "a:b"})]
    assert inputs(graph(*nodes))["mine"] == "{'request': request, 'clean': clean}"


def test_each_node_is_a_deployment_that_scales_alone() -> None:
    scaled = node("b", "a", classify={"model": MODEL}, autoscaling={"maxReplicas": 3}, resources={"gpus": 1})
    planned = plan(graph(node("a"), scaled))
    front, first, second = planned.applications[0].deployments
    assert (front["name"], first["name"], second["name"]) == ("Graph", "a", "b")
    assert second["autoscaling_config"]["max_replicas"] == 3
    assert second["ray_actor_options"] == {"num_cpus": 1, "num_gpus": 1}
    assert planned.gpus == (1, 4)  # one more in an update


def test_the_answer_of_a_chat_is_the_last_text_unless_the_user_says_which() -> None:
    def settings(*nodes: Document, **chat: str) -> Any:
        planned = plan(graph(*nodes, chat={"model": "m", **chat}))
        return planned.applications[0].deployments[0]["user_config"]["chat"]

    mine = {"name": "mine", "after": ["a"], "custom": {"importPath": "a:b"}}
    assert settings(node("a"), node("b", "a")) == {"model": "m", "answer": "b.text"}
    assert settings(node("a"), mine) == {"model": "m", "answer": "mine.text"}
    assert settings(node("a"), node("b"), answer="a.text ~ b.text") == {"model": "m", "answer": "a.text ~ b.text"}


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (
            graph(node("a", "b"), node("b", "c"), node("c", "a")),
            "graph.nodes[0].after: the nodes wait for each other: a",
        ),
        (graph(node("a", "a")), "graph.nodes[0].after: the nodes wait for each other: a after a"),
        (graph(node("a", "a"), chat={"model": "m"}), "graph.nodes[0].after: the nodes wait for each other: a after a"),
        (graph(node("a", "x")), "graph.nodes[0].after[0]: there is no node x; there are: a"),
        (graph(node("request")), "graph.nodes[0].name: request means something else in templates"),
        (graph(node("a"), node("b"), output={"x": "b.text"}), "graph.nodes[0].name: nothing uses the result of a"),
        (graph(node("a"), output={"x": "c.text"}), "graph.output.x: there is no node c; known here: request, a"),
        (
            graph(node("enrich"), output={"x": "enrch.text"}),
            "graph.output.x: there is no node enrch; did you mean enrich?",
        ),
        (graph(node("one"), node("two", when="on.text")), "graph.nodes[1].when: there is no node on; known here: requ"),
        (
            graph(node("one"), node("two", "one", when="onee")),
            "graph.nodes[1].when: there is no node onee; did you mean",
        ),
        (graph(node("a"), output={"x": [{"y": "a."}]}), "graph.output.x[0].y: is not Jinja2"),
        (graph(node("a"), output={"x": "{{ a }}"}), "graph.output.x: "),
        (graph(node("a"), output={}), "graph.nodes[0].name: nothing uses the result of a"),
        (graph(node("a"), node("b", when="a.text")), "graph.nodes[1].when: b does not come after a"),
        (graph(node("a", input="request.text.format(1)")), "graph.nodes[0].input: only range can be called"),
        (
            graph(node("a"), node("b"), node("c", "a", "b")),
            "graph.nodes[2].input: c comes after several nodes that make",
        ),
        (
            graph(node("a", generate={"model": MODEL, "prompt": "{% set x = 1 %}"})),
            "graph.nodes[0].generate.prompt: assign is not allowed",
        ),
        (
            graph(node("a", generate={"model": MODEL, "prompt": "x"}, input="request.text")),
            "graph.nodes[0].input: a generate node works on its prompt",
        ),
        (
            graph(node("a", generate={"model": MODEL, "messages": [{"role": "user", "content": "{{ b.text }}"}]})),
            "graph.nodes[0].generate.messages[0].content: there is no node b",
        ),
        (
            graph(node("a", generate={"model": MODEL, "messages": [{"conversation": "{{ request.messages }}"}]})),
            "graph.nodes[0].generate.messages[0].conversation: is an expression, which is written without {{ }}: req",
        ),
        (
            graph(node("a"), node("b"), chat={"model": "m"}),
            "graph.chat.answer: no other node comes after a, b, so the answer could be the text of each; say which",
        ),
        (
            graph(node("a"), node("b", "a", embed={"model": MODEL}), chat={"model": "m"}),
            "graph.chat.answer: the last node, b, makes no text; give an expression",
        ),
        (
            graph(node("a"), chat={"model": "m", "answer": "b.text"}),
            "graph.chat.answer: there is no node b; known here: request, a",
        ),
        (
            graph(node("a"), node("b"), chat={"model": "m", "answer": "a.text"}, output={"x": "a.text"}),
            "graph.nodes[1].name: nothing uses the result of b",
        ),
        (
            graph(node("a", generate={"model": MODEL, "prompt": "x", "engine": {"extra": {"dtype": "auto"}}})),
            "graph.nodes[0].generate.engine.extra.dtype: the engine argument dtype has a field of its own",
        ),
        (
            {"generate": {"model": MODEL, "engine": {"extra": {"max_model_len": 1}}}},
            "generate.engine.extra.max_model_len: the engine argument",
        ),
        (
            {"generate": {"model": MODEL, "accelerator": {"type": "L4"}, "resources": {"gpus": 1}}},
            "generate.resources.gpus: the GPUs of a model are those of accelerator",
        ),
        (
            {"batch": {"classify": {"model": MODEL}, "maxBatchSize": 64, "maxOngoingRequests": 8}},
            "batch.maxOngoingRequests: a batch holds only in-flight requests, so with 8 it never has 64",
        ),
    ],
)
def test_rejected_when_the_resource_is_checked(app: Document, message: str) -> None:
    found = problems(app)
    assert any(problem.startswith(message) for problem in found), found
    assert len(found) == 1


def test_generate_on_gpus() -> None:
    planned = plan({"generate": {"model": MODEL, "accelerator": {"type": "L4"}, "tensorParallelSize": 2}})
    app = planned.applications[0]
    assert app.deployments[0]["ray_actor_options"] == {"num_cpus": 1, "num_gpus": 2, "accelerator_type": "L4"}
    assert app.args["engine"] == {
        "gpu_memory_utilization": 0.9, "tensor_parallel_size": 2, "distributed_executor_backend": "mp",
    }  # fmt: skip
    assert [(group.name, group.gpus) for group in planned.groups] == [("l4-x2", 2)]


def test_the_queue_ends_where_the_user_does_not_say() -> None:
    app = plan({"batch": {"classify": {"model": MODEL}, "replicas": 10}}).applications[0]
    assert app.deployments[0]["max_queued_requests"] == 4 * 16 * 10
    assert app.deployments[0]["backpressure_config"] == {"status_code": 503, "retry_after_s": 1}
    endless = plan({"batch": {"classify": {"model": MODEL}, "maxQueuedRequests": -1}}).applications[0]
    assert endless.deployments[0]["max_queued_requests"] == -1


def test_limits_reach_the_app() -> None:
    limits = {"timeoutSeconds": 5, "maxBodySize": "1Mi", "logPrompts": True}
    (deployment,) = plan({"generate": {"model": MODEL, **limits}}).applications[0].deployments
    assert deployment["user_config"]["limits"] == {"timeout_seconds": 5, "max_body_bytes": 2**20, "log_prompts": True}


def test_downloaded_models_are_kept_where_the_resource_says() -> None:
    planned = plan({"batch": {"classify": {"model": MODEL}}}, modelCache={"path": "/cache/"})
    assert planned.applications[0].runtime_env == {
        "env_vars": {"HF_HOME": "/cache/huggingface", "LLMPIPELINE_MODEL_CACHE": "/cache/object-store"}
    }
    assert plan({"hello": {}}, modelCache={"path": "/cache"}).applications[0].runtime_env is None


def test_one_token_for_all_models_of_a_pipeline() -> None:
    def hub(secret: str) -> Document:
        return {"model": {"huggingFace": {"repository": "a/b", "tokenSecretRef": {"name": secret, "key": "k"}}}}

    app = graph(node("a", classify=hub("x")), node("b", embed=hub("y")))
    (problem,) = problems(app)
    assert problem.startswith("graph.nodes[1].embed.model.huggingFace.tokenSecretRef: the models of one pipeline")
    assert plan(graph(node("a", classify=hub("x")))).applications[0].secrets == (("HF_TOKEN", "x", "k"),)
