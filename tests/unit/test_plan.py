"""From a pipeline to worker groups and GPUs."""

from dataclasses import replace
from typing import Any

import pytest

from llmpipeline.api.quantity import Range, ceil_units, milli
from llmpipeline.plan.plan import Plan
from support.pipelines import Document, pipeline, plan_of, says
from support.pipelines import model as a_model
from support.pipelines import openai as chat


def plan(*apps: Document, **spec: Any) -> Plan:
    return plan_of(pipeline(*apps, **spec))


def model(name: str = "m", **fields: Any) -> Document:
    return a_model(name, **{"accelerator": {"type": "H100"}, **fields})


def shapes(planned: Plan) -> list[tuple[str, int, tuple[int, int]]]:
    """Of each group its name, the GPUs of a Pod, and the Pods: at most one more than all replicas take, for updates."""
    return [(group.name, group.gpus, group.replicas) for group in planned.groups]


def test_a_pod_has_the_gpus_of_one_replica() -> None:
    planned = plan(chat(model(tensorParallelSize=4, autoscaling={"minReplicas": 1, "maxReplicas": 3})))
    assert shapes(planned) == [("h100-x4", 4, (1, 4))]
    assert planned.gpus == (4, 16)


def test_packed_stages_have_a_pod_each() -> None:
    planned = plan(chat(model(tensorParallelSize=8, pipelineParallelSize=2, placement="Pack", replicas=2)))
    assert shapes(planned) == [("h100-x8", 8, (4, 6))]
    assert planned.gpus == (32, 48)


def test_strictly_packed_stages_share_a_pod() -> None:
    planned = plan(chat(model(tensorParallelSize=2, pipelineParallelSize=2)))
    assert shapes(planned) == [("h100-x4", 4, (1, 2))]


def test_models_of_one_kind_share_a_group() -> None:
    planned = plan(chat(model("a"), model("b", replicas=2), model("c", accelerator={"type": "L4"})))
    assert shapes(planned) == [("h100-x1", 1, (3, 4)), ("l4-x1", 1, (1, 2))]


def test_light_replicas_use_spare_cpus_of_gpu_pods() -> None:
    planned = plan(chat(model()), {"name": "hello", "hello": {"replicas": 1}})
    assert shapes(planned) == [("h100-x1", 1, (1, 2))]


def test_light_replicas_get_a_group_where_gpu_pods_have_no_room() -> None:
    planned = plan(chat(model()), {"name": "hello", "hello": {"replicas": 4}})
    assert [group.name for group in planned.groups] == ["h100-x1", "cpu"]


def test_a_model_that_may_sleep_leaves_the_ingress_awake() -> None:
    planned = plan(chat(model(autoscaling={"minReplicas": 0, "maxReplicas": 1})))
    assert shapes(planned) == [("h100-x1", 1, (0, 2)), ("cpu", 0, (1, 2))]


def test_a_small_app_gets_a_small_pod() -> None:
    (group,) = plan({"name": "hello", "hello": {"resources": {"cpus": "500m"}}}).groups
    assert (group.cpu_milli, group.memory, group.replicas) == (1000, 2 * 1024**3, (1, 1))


def test_autoscaling_always_has_a_target() -> None:
    planned = plan(chat(model(autoscaling={"maxReplicas": 2})))
    (config,) = planned.applications[0].deployments
    assert config["autoscaling_config"]["target_ongoing_requests"] == 32
    assert config["max_ongoing_requests"] == 64


def test_gpus_are_bundles_and_never_on_the_actor_too() -> None:
    planned = plan(chat(model(tensorParallelSize=2, resources={"gpus": 2, "cpus": 2})))
    config = planned.applications[0].args["llm_configs"][0]
    assert config["placement_group_config"]["bundles"] == [{"GPU": 1, "accelerator_type:H100": 0.001}] * 2
    assert config["deployment_config"]["ray_actor_options"] == {"num_cpus": 2}


def test_a_model_without_accelerator_takes_cpus() -> None:
    planned = plan(chat({"name": "m", "source": {"path": "/m"}}))
    config = planned.applications[0].args["llm_configs"][0]
    assert "accelerator_type" not in config
    assert config["placement_group_config"]["bundles"] == [{"CPU": 1}]
    assert planned.gpus == (0, 0)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (model("a.b"), model("a_b"), "same deployment name"),
        (
            model("a", source={"huggingFace": {"repository": "a/b", "tokenSecretRef": {"name": "x", "key": "k"}}}),
            model("b", source={"huggingFace": {"repository": "a/b", "tokenSecretRef": {"name": "y", "key": "k"}}}),
            "one Hugging Face token",
        ),
    ],
)
def test_clashes(first: Document, second: Document, message: str) -> None:
    (problem,) = says(pipeline(chat(first, second)))
    assert message in problem


def test_quantities_are_exact() -> None:
    assert [milli(q) for q in (2, "2", "500m", "0.1", "1.0001")] == [2000, 2000, 500, 100, 1001]
    assert [ceil_units(q) for q in ("1Ki", "1.5Gi", "1M", 7, "100m")] == [1024, 1610612736, 1000000, 7, 1]


def test_ten_thousand_replicas_are_packed_in_no_time() -> None:
    many = [{"name": f"h{i}", "hello": {"replicas": 10_000, "resources": {"cpus": 1 + i % 3}}} for i in range(32)]
    (group,) = plan(*many).groups
    # Pods of 4 cores: a 3 and a 1, two 2s, four 1s. 11 apps of 1 core, 11 of 2, 10 of 3.
    assert (group.cpu_milli, group.replicas.minimum) == (4000, 100_000 + 55_000 + 2_500)
    assert group.replicas.maximum == 1.01 * group.replicas.minimum


@pytest.mark.parametrize(
    ("replicas", "cpus", "pods"), [(1, "1", 1), (4, "1", 4), (5, "200m", 1), (6, "200m", 2), (3, "3", 3), (2, "6", 2)]
)
def test_pods_hold_the_replicas(replicas: int, cpus: str, pods: int) -> None:
    app = {"name": "h", "hello": {"replicas": replicas, "resources": {"cpus": cpus}}}
    (group,) = plan(app).groups
    assert group.replicas.minimum == pods


def test_the_number_of_replicas_does_not_change_the_size_of_a_pod() -> None:
    """It would build a new Ray cluster."""
    of_one, of_many = (
        plan({"name": "h", "hello": {"replicas": count, "resources": {"cpus": "500m"}}}).groups for count in (1, 50)
    )
    assert [replace(group, replicas=Range(0, 0)) for group in of_one] == [
        replace(group, replicas=Range(0, 0)) for group in of_many
    ]


def test_strictly_spread_gpus_have_a_pod_each() -> None:
    assert shapes(plan(chat(model(tensorParallelSize=4, placement="StrictSpread")))) == [("h100-x1", 1, (4, 8))]


def test_given_groups_must_hold_the_minimum_of_all_replicas() -> None:
    workers = [{"name": "g", "maxReplicas": 1, "accelerator": {"type": "H100", "count": 1}}]
    (problem,) = says(pipeline(chat(model("a"), model("b"), model("c")), workers=workers))
    assert "minimum replicas need 3 H100 GPUs; worker groups provide at most 1" in problem


def test_a_packed_model_may_use_smaller_pods() -> None:
    workers = [{"name": "g", "maxReplicas": 2, "accelerator": {"type": "H100", "count": 2}}]
    assert not says(pipeline(chat(model(tensorParallelSize=4, placement="Pack")), workers=workers))


def test_light_replicas_with_memory_of_their_own_get_a_group() -> None:
    planned = plan(chat(model()), {"name": "hello", "hello": {"resources": {"memory": "100Gi"}}})
    assert planned.groups[1].memory > 100 * 1024**3


def test_a_packed_model_without_gpus_runs_on_a_cpu_group() -> None:
    on_cpus = {"name": "m", "source": {"path": "/m"}, "placement": "Pack"}
    assert not says(pipeline(chat(on_cpus), workers=[{"name": "cpu", "maxReplicas": 2}]))


def part(gpus: str, replicas: int, **fields: Any) -> Document:
    return {
        "name": "part",
        "hello": {"resources": {"gpus": gpus, "accelerator": {"type": "L4"}, **fields}, "replicas": replicas},
    }


def test_parts_of_a_gpu_share_one() -> None:
    assert shapes(plan(part("250m", 4))) == [("l4-x1", 1, (1, 2))]
    # The third GPU has room for the one replica more of an update.
    assert shapes(plan(part("500m", 5))) == [("l4-x1", 1, (3, 3))]


def test_parts_of_a_gpu_leave_room_for_whole_ones() -> None:
    """Serve spreads replicas: two halves on two Pods would keep the model out of both."""
    planned = plan(chat(model(accelerator={"type": "L4"})), part("500m", 2))
    assert ("l4-x1", 1, (3, 4)) in shapes(planned)


def test_few_small_parts_need_no_large_pod() -> None:
    (group,) = plan(part("1m", 3, cpus=2)).groups
    assert (group.gpus, group.cpu_milli, group.replicas) == (1, 8000, (1, 1))
