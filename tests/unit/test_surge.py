"""Which deployments start a new replica before they stop an old one, and what is said of the others."""

import time
from typing import Any

import pytest

from support.pipelines import Document, pipeline, plan_of
from support.pipelines import model as a_model
from support.pipelines import openai as chat

GROUP = {"name": "l4", "accelerator": {"type": "L4"}, "minReplicas": 1}
L4 = {"accelerator": {"type": "L4"}}


def surges(*apps: Document, **spec: Any) -> dict[str, int | None]:
    """Of each deployment the surge that Ray Serve is given."""
    planned = plan_of(pipeline(*apps, **spec))
    return {item["name"]: item.get("max_surge_percent") for app in planned.applications for item in app.deployments}


def notes(*apps: Document, **spec: Any) -> str:
    return " ".join(plan_of(pipeline(*apps, **spec)).notes)


def hello(**fields: Any) -> Document:
    return {"name": "hello", "hello": fields}


def test_derived_groups_have_room_for_one_more() -> None:
    assert surges(chat(a_model("a.b/c", **L4)), hello()) == {"LLMServer:a_b--c": 1, "Hello": 1}
    assert not notes(chat(a_model(**L4)), hello())


def test_every_kind_of_app_starts_first() -> None:
    node = {"name": "a", "custom": {"importPath": "m:f"}}
    apps = [
        {"name": "g", "graph": {"nodes": [node]}},
        {"name": "b", "batch": {"custom": {"importPath": "m:f"}}},
        {"name": "t", "trafficSplit": {"variants": [{"name": "v", "app": "b", "weight": 1}]}},
        {"name": "c", "custom": {"importPath": "m:f", "deployments": [{"name": "D"}]}},
        {"name": "n", "generate": {"model": {"path": "/m"}}},
        chat(a_model("one"), a_model("two")),
    ]
    assert set(surges(*apps).values()) == {1}


def test_an_older_ray_stops_first() -> None:
    ray = {"version": "2.59.1", "image": "i"}
    planned = plan_of(pipeline(chat(a_model(**L4)), ray=ray))
    assert all("max_surge_percent" not in item for app in planned.applications for item in app.deployments)
    assert planned.groups[0].replicas == (1, 1)


def test_an_older_ray_cannot_do_what_the_user_wants() -> None:
    ray = {"version": "2.59.1", "image": "i"}
    assert "needs Ray 2.60 or newer" in notes(hello(updateOrder="StartFirst"), ray=ray)
    assert not notes(hello(), ray=ray)


def test_the_user_may_want_the_old_one_stopped_first() -> None:
    planned = plan_of(pipeline(hello(updateOrder="StopFirst")))
    assert planned.groups[0].replicas == (1, 1)
    assert surges(hello(updateOrder="StopFirst")) == {"Hello": None}


@pytest.mark.parametrize(("most", "room"), [(1, None), (2, 1)])
def test_given_groups_decide_by_their_room(most: int, room: int | None) -> None:
    workers = [{**GROUP, "maxReplicas": most}]
    assert surges(chat(a_model(**L4)), workers=workers) == {"LLMServer:m": room}


def test_a_group_without_room_is_noted_with_the_remedy() -> None:
    said = notes(chat(a_model(**L4)), workers=[{**GROUP, "maxReplicas": 1}])
    assert "no room for one more replica of app chat, model m" in said
    assert "nothing answers until the new one runs" in said
    assert "Raise maxReplicas of a worker group" in said


def test_several_replicas_go_on_answering() -> None:
    said = notes(chat(a_model(replicas=2, **L4)), workers=[{**GROUP, "minReplicas": 2, "maxReplicas": 2}])
    assert "no room" in said
    assert "nothing answers" not in said


def test_an_update_waits_for_room_if_the_user_wants() -> None:
    model, workers = a_model(updateOrder="StartFirst", **L4), [{**GROUP, "maxReplicas": 1}]
    assert surges(chat(model), workers=workers) == {"LLMServer:m": 1}
    assert "an update waits" in notes(chat(model), workers=workers)


def test_room_is_counted_in_whole_pods() -> None:
    """Two Pods with a core and a half each: three halves are free, and no replica of one core fits twice."""
    workers = [{"name": "cpu", "resources": {"cpus": 2}, "maxReplicas": 2}]
    app = hello(replicas=2, resources={"cpus": "1200m"})
    assert surges(app, workers=workers) == {"Hello": None}


def test_a_replica_over_several_pods_needs_them_all() -> None:
    spread = a_model(tensorParallelSize=4, placement="StrictSpread", **L4)
    assert surges(chat(spread), workers=[{**GROUP, "maxReplicas": 7}]) == {"LLMServer:m": None}
    assert surges(chat(spread), workers=[{**GROUP, "maxReplicas": 8}]) == {"LLMServer:m": 1}


def test_models_of_one_group_take_the_room_in_turns() -> None:
    planned = plan_of(pipeline(chat(a_model("a", **L4), a_model("b", **L4))))
    gpus = [group.replicas for group in planned.groups if group.gpus]
    assert gpus == [(2, 3)]


def test_deployments_that_nobody_names_are_left_alone() -> None:
    planned = plan_of(pipeline({"name": "own", "custom": {"importPath": "m:f"}}))
    assert planned.applications[0].deployments == ()
    assert not planned.notes


def test_a_drain_lasts_as_long_as_the_spec_says() -> None:
    planned = plan_of(pipeline(hello(), drainSeconds=600))
    assert planned.applications[0].deployments[0]["graceful_shutdown_timeout_s"] == 600
    own = plan_of(pipeline(hello(gracefulShutdown={"timeoutSeconds": 5})))
    assert own.applications[0].deployments[0]["graceful_shutdown_timeout_s"] == 5


def test_a_replica_of_any_gpu_leaves_the_room_of_others() -> None:
    any_gpu = {"name": "Any", "resources": {"cpus": 2, "gpus": 1}}
    typed = {"name": "Typed", "resources": {"gpus": 1, "accelerator": {"type": "L4"}}}
    app = {"name": "c", "custom": {"importPath": "m:f", "deployments": [typed, any_gpu]}}
    assert surges(app) == {"Typed": 1, "Any": 1}


@pytest.mark.parametrize("given", [False, True], ids=["derived", "given"])
def test_a_thousand_parts_of_gpus_are_planned_in_seconds(given: bool) -> None:
    """Not a measurement: what was cubic took minutes."""
    apps = [
        {
            "name": f"g{number}",
            "custom": {
                "importPath": "m:f",
                "deployments": [
                    {
                        "name": f"d{item}",
                        "replicas": 1 + item % 9,
                        "resources": {"gpus": f"{1 + number * 32 + item}m", "accelerator": {"type": "L4"}},
                    }
                    for item in range(30)
                ],
            },
        }
        for number in range(30)
    ]
    workers = {"workers": [{**GROUP, "maxReplicas": 4000}, {"name": "cpu", "maxReplicas": 9}]} if given else {}
    began = time.process_time()
    plan_of(pipeline(*apps, **workers))
    assert time.process_time() - began < 20
