"""An openai app in Ray Serve LLM's terms: who takes the requests, adapters, embeddings, routing, prefill."""

from typing import Any

import pytest

from llmpipeline.plan.apps.openai import DIRECT, NO_PROMPTS, PREFIX_ROUTER, THROUGHPUT
from llmpipeline.plan.plan import Plan
from llmpipeline_serve.contract.openai import IMPORT_PATH, PREFILL_IMPORT_PATH
from support.pipelines import Document, model, openai, pipeline, plan_of, says


def plan(*models: Document, **fields: Any) -> Plan:
    return plan_of(pipeline(openai(*models, **fields)))


def environment(planned: Plan) -> dict[str, str]:
    (app,) = planned.applications
    variables: dict[str, str] = (app.runtime_env or {})["env_vars"]
    return variables


def config(planned: Plan) -> dict[str, Any]:
    first: dict[str, Any] = planned.applications[0].args["llm_configs"][0]
    return first


def test_one_plain_model_is_asked_directly() -> None:
    planned = plan(model())
    (app,) = planned.applications
    assert app.import_path == IMPORT_PATH
    assert environment(planned) == NO_PROMPTS | THROUGHPUT | DIRECT
    # Ray Serve LLM refuses settings for an ingress that there is not.
    assert app.args.keys() == {"llm_configs"}
    assert [demand.where for demand in planned.demands] == ["app chat, model m"]


def test_whom_the_proxy_asks_has_a_queue_that_ends() -> None:
    (direct,) = plan(model(maxOngoingRequests=50)).applications[0].deployments
    assert (direct["name"], direct["max_queued_requests"]) == ("LLMServer:m", 200)
    first, *_, ingress = plan(model(), model("n")).applications[0].deployments
    assert "max_queued_requests" not in first
    assert (ingress["name"], ingress["max_queued_requests"]) == ("OpenAiIngress", 1024)


LORA = {"uri": "s3://b/adapters/", "maxAdapters": 8, "maxRank": 64}


@pytest.mark.parametrize(
    ("models", "fields"),
    [
        ([model(), model("n")], {}),
        ([model()], {"ingress": {"replicas": 2}}),
        ([model(lora=LORA)], {}),
        ([model(routing="PrefixAware")], {}),
        ([model(autoscaling={"minReplicas": 0, "maxReplicas": 1})], {}),
    ],
    ids=["two models", "an ingress", "adapters", "prefix-aware", "a model that sleeps"],
)
def test_else_an_ingress_takes_the_requests(models: list[Document], fields: Document) -> None:
    planned = plan(*models, **fields)
    assert environment(planned) == NO_PROMPTS | THROUGHPUT
    assert "ingress_deployment_config" in planned.applications[0].args
    assert planned.demands[-1].where == "app chat, ingress"


def test_adapters() -> None:
    given = config(plan(model(lora=LORA)))
    assert given["lora_config"] == {
        "dynamic_lora_loading_path": "s3://b/adapters",
        "max_num_adapters_per_replica": 8,
    }
    assert {"enable_lora": True, "max_loras": 8, "max_lora_rank": 64}.items() <= given["engine_kwargs"].items()


def test_embeddings() -> None:
    assert config(plan(model(task="Embed")))["engine_kwargs"]["runner"] == "pooling"
    assert "runner" not in config(plan(model()))["engine_kwargs"]


def test_prefix_aware_routing() -> None:
    settings = config(plan(model(routing="PrefixAware", replicas=2)))["deployment_config"]
    assert settings["request_router_config"] == {"request_router_class": PREFIX_ROUTER}


def test_prefill_on_its_own_deployment() -> None:
    planned = plan(model(tensorParallelSize=2, replicas=3, prefill={"replicas": 2, "maxOngoingRequests": 8}))
    (app,) = planned.applications
    assert app.import_path == PREFILL_IMPORT_PATH
    assert app.args.keys() == {"prefill_config", "decode_config", "ingress_deployment_config"}
    prefill, decode = app.args["prefill_config"], app.args["decode_config"]
    of_prefill, of_decode, _ = app.deployments
    assert (of_prefill["name"], of_prefill["num_replicas"], of_prefill["max_ongoing_requests"]) == ("Prefill:m", 2, 8)
    assert (of_decode["name"], of_decode["num_replicas"]) == ("Decode:m", 3)
    for part in ("model_loading_config", "engine_kwargs", "placement_group_config"):
        assert prefill[part] == decode[part]
    assert decode["engine_kwargs"]["kv_transfer_config"] == {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    assert [(demand.where, demand.gpus, demand.replicas) for demand in planned.demands] == [
        ("app chat, model m", 2, (3, 3)),
        ("app chat, prefill of model m", 2, (2, 2)),
        ("app chat, ingress", 0, (1, 1)),
    ]


def test_the_connector_may_be_another() -> None:
    connector = {"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"}
    planned = plan(model(prefill={}, engine={"extra": {"kv_transfer_config": connector}}))
    assert planned.applications[0].args["prefill_config"]["engine_kwargs"]["kv_transfer_config"] == connector


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([model(lora={"uri": "s3://b/a", "maxRank": 20})], "give the next larger one"),
        ([model(lora={"uri": "/adapters"})], "uri"),
        ([model(task="Embed", lora={"uri": "s3://b/a"})], "for models that generate"),
        ([model(task="Embed", routing="PrefixAware")], "for models that generate"),
        ([model(task="Embed", prefill={})], "for models that generate"),
        ([model(prefill={}, lora={"uri": "s3://b/a"})], "prefill goes with neither lora nor routing"),
        ([model(prefill={}), model("n")], "must be the only one in its app"),
        ([model(prefill={"replicas": 1, "autoscaling": {"maxReplicas": 2}})], "not both"),
    ],
)
def test_what_is_rejected(models: list[Document], message: str) -> None:
    assert message in " ".join(says(pipeline(openai(*models))))
