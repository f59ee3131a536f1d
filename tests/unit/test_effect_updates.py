"""What an update of replicas costs: which GPUs, for how long, and whether anybody waits."""

from typing import Any

import pytest

from llmpipeline.effect import Effect, effect_of
from support.pipelines import Document, desired_of, pipeline
from support.pipelines import model as a_model
from support.pipelines import openai as chat


def of(was: Document, now: Document) -> Effect:
    return effect_of(desired_of(was).service, desired_of(now).service)


def served(model: Document, **spec: Any) -> Document:
    return pipeline(chat(model), **spec)


L4 = [{"name": "l4", "accelerator": {"type": "L4"}, "minReplicas": 1, "maxReplicas": 1}]


def test_a_new_model_needs_one_gpu_more_of_its_type() -> None:
    effect = of(served(a_model(task="Generate")), served(a_model(task="Embed")))
    assert (effect.kind, effect.extra, effect.interrupts) == ("InPlace", (("L4", 1),), False)
    assert "It needs 1 L4 GPU more while a new replica loads and an old one ends." in effect.message
    assert "starts each new one before it stops an old one" in effect.message


def test_a_large_model_needs_all_of_its_gpus_once_more() -> None:
    large = {"tensorParallelSize": 4, "accelerator": {"type": "H100"}, "replicas": 3}
    effect = of(served(a_model(**large)), served(a_model(task="Embed", **large)))
    assert effect.extra == (("H100", 4),)


def test_models_of_several_types_each_need_their_own() -> None:
    def both(task: str) -> Document:
        return pipeline(chat(a_model("a", task=task), a_model("b", accelerator={"type": "H100"})))

    assert dict(of(both("Generate"), both("Embed")).extra) == {"L4": 1, "H100": 1}


def test_models_of_one_group_never_need_more_than_it_can_grow() -> None:
    def both(task: str) -> Document:
        return pipeline(chat(a_model("a", task=task), a_model("b")))

    assert of(both("Generate"), both("Embed")).extra == (("L4", 1),)


def test_part_of_a_gpu_is_a_whole_one_more() -> None:
    def app(message: str) -> Document:
        code = {"importPath": "m:f", "args": {"a": message}}
        wanted = {"gpus": "500m", "accelerator": {"type": "L4"}}
        return pipeline(
            {"name": "a", "custom": {**code, "deployments": [{"name": "D", "replicas": 2, "resources": wanted}]}}
        )

    assert of(app("one"), app("two")).extra == (("L4", 1),)


@pytest.mark.parametrize(("replicas", "interrupts"), [(1, True), (2, False)])
def test_without_room_the_old_one_stops_first(replicas: int, interrupts: bool) -> None:
    groups = [{**L4[0], "maxReplicas": replicas}]
    was, now = (served(a_model(task=task, replicas=replicas), workers=groups) for task in ("Generate", "Embed"))
    effect = of(was, now)
    assert (effect.extra, effect.interrupts) == ((), interrupts)
    assert ("nothing answers until the new one is up" in effect.message) is interrupts


def test_a_sleeping_model_may_be_one_replica() -> None:
    scaling = {"minReplicas": 0, "maxReplicas": 2}
    groups = [{**L4[0], "minReplicas": 0, "maxReplicas": 2}, {"name": "cpu", "maxReplicas": 1}]
    was, now = (served(a_model(task=task, autoscaling=scaling), workers=groups) for task in ("Generate", "Embed"))
    assert of(was, now).interrupts


def test_a_setting_costs_nothing() -> None:
    was, now = (pipeline({"name": "h", "hello": {"message": text}}) for text in ("a", "b"))
    effect = of(was, now)
    assert (effect.kind, effect.extra, effect.interrupts) == ("InPlace", (), False)
    assert effect.message == "Ray Serve changes app h in place; no replica restarts."


def test_a_new_cluster_names_the_types_of_its_gpus() -> None:
    apps = [chat(a_model("a"), a_model("b", accelerator={"type": "H100"}))]
    was = pipeline(*apps)
    now = pipeline(*apps, ray={"env": [{"name": "A", "value": "1"}]})
    effect = of(was, now)
    assert (effect.kind, dict(effect.extra), effect.interrupts) == ("NewCluster", {"L4": 1, "H100": 1}, False)
    assert "1 L4 GPU and 1 H100 GPU more" in effect.message


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ({"name": "a", "hello": {}}, {"name": "b", "routePrefix": "/a", "hello": {}}, "at the same route"),
        ({"name": "a", "hello": {}}, {"name": "b", "hello": {}}, "removes app a: requests to it fail"),
        ({"name": "a", "hello": {}}, {"name": "a", "routePrefix": "/b", "hello": {}}, "The route of app a changes"),
    ],
    ids=["another name", "another app", "another route"],
)
def test_requests_that_have_nowhere_to_go(was: Document, now: Document, says: str) -> None:
    effect = of(pipeline(was), pipeline(now))
    assert effect.interrupts
    assert says in effect.message


def test_fewer_pods_interrupt() -> None:
    was, now = (served(a_model(), workers=[{**L4[0], "maxReplicas": most}]) for most in (3, 2))
    assert of(was, now).interrupts


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        (
            chat(a_model("one")),
            chat(a_model("two")),
            "removes LLMServer:one of app chat at once and starts LLMServer:two: requests that need them fail or wait",
        ),
        (
            chat(a_model("one"), a_model("two")),
            chat(a_model("one")),
            "removes LLMServer:two, OpenAiIngress of app chat",
        ),
        (
            {"name": "a", "hello": {}},
            {"name": "a", "batch": {"custom": {"importPath": "m:f"}}},
            "removes Hello of app a",
        ),
        (
            {"name": "g", "graph": {"nodes": [{"name": "a", "preprocess": {}}]}},
            {"name": "g", "graph": {"nodes": [{"name": "b", "preprocess": {}}]}},
            "removes a of app g at once and starts b",
        ),
    ],
    ids=["another model", "one model fewer", "another kind of app", "another node"],
)
def test_a_deployment_that_goes_at_once_interrupts(was: Document, now: Document, says: str) -> None:
    """To Ray Serve another name is another deployment, and it deletes the old one before the new one runs."""
    effect = of(pipeline(was), pipeline(now))
    assert effect.interrupts
    assert says in effect.message


def test_what_a_custom_app_does_not_list_is_said() -> None:
    def app(message: str) -> Document:
        code = {"importPath": "m:f", "args": {"a": message}, "deployments": [{"name": "D"}]}
        return pipeline({"name": "own", "custom": code})

    assert "Deployments of app own that custom.deployments does not list" in of(app("a"), app("b")).message
    assert "does not list" not in of(served(a_model(task="Generate")), served(a_model(task="Embed"))).message


def test_many_replicas_have_more_than_one_in_an_update() -> None:
    many = {"replicas": 200, "accelerator": {"type": "H100"}}
    effect = of(served(a_model(**many)), served(a_model(task="Embed", **many)))
    assert effect.extra == (("H100", 2),)


def test_a_label_that_is_taken_away_is_a_change() -> None:
    was, now = (pipeline(metadata={"labels": labels}) for labels in ({"kueue.x-k8s.io/queue-name": "a"}, {}))
    assert of(was, now).fields == ("metadata.labels[kueue.x-k8s.io/queue-name]",)


def test_labels_may_be_null() -> None:
    assert desired_of(pipeline(metadata={"labels": None, "annotations": None}))
