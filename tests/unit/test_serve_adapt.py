"""What one machine changes in a Serve config written for GPU nodes."""

import copy
import subprocess
import sys
from ipaddress import IPv4Address
from typing import Any

import pytest

from llmpipeline_serve.local.adapt import adapt
from llmpipeline_serve.local.errors import RunnerError
from llmpipeline_serve.local.machine import Machine

TINY = {kind: f"/tiny/{kind}" for kind in ("generate", "classify", "embed", "summarize")}
LOOPBACK = IPv4Address("127.0.0.1")
LAPTOP = Machine(LOOPBACK, port=8001, gpus=0, haproxy=False, tiny_models=None)
TINY_LAPTOP = Machine(LOOPBACK, port=8001, gpus=0, haproxy=False, tiny_models=TINY)
GPU_MACHINE = Machine(LOOPBACK, port=8001, gpus=1, haproxy=False, tiny_models=None)


def model(**changed: Any) -> dict[str, Any]:
    """A model as the operator renders it."""
    return {
        "model_loading_config": {"model_id": "qwen3-0.6b", "model_source": "Qwen/Qwen3-0.6B"},
        "accelerator_type": "L4",
        "engine_kwargs": {"max_model_len": 8192, "tensor_parallel_size": 2, "gpu_memory_utilization": 0.9},
        "placement_group_config": {"bundles": [{"CPU": 1, "GPU": 1}] * 2, "strategy": "STRICT_PACK"},
        "deployment_config": {"autoscaling_config": {"min_replicas": 1, "max_replicas": 2}, "max_ongoing_requests": 64},
    } | changed


def chat(*models: dict[str, Any], **args: Any) -> dict[str, Any]:
    """A Serve config with one openai app."""
    app = {"name": "chat", "route_prefix": "/", "import_path": "ray.serve.llm:build_openai_app"}
    return {
        "http_options": {"host": "0.0.0.0", "port": 8000},
        "proxy_location": "EveryNode",
        "applications": [app | {"args": {"llm_configs": list(models), **args}}],
    }


def adapted_model(machine: Machine, **changed: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the only model after adaptation, and what was said about it."""
    serve_config, changes, _ = adapt(chat(model(**changed)), machine)
    return serve_config["applications"][0]["args"]["llm_configs"][0], changes


def test_needs_no_ray() -> None:
    imports = "import sys, llmpipeline_serve.local.adapt; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", imports], check=False).returncode == 0


def test_does_not_mutate() -> None:
    given = chat(model(), ingress_deployment_config={"ray_actor_options": {"resources": {"ingress": 1}}})
    before = copy.deepcopy(given)
    adapt(given, TINY_LAPTOP)
    assert given == before


def test_listens_on_the_loopback_only() -> None:
    serve_config, changes, _ = adapt(chat(), LAPTOP)
    assert serve_config["http_options"] == {"host": "127.0.0.1", "port": 8001}
    assert serve_config["proxy_location"] == "EveryNode"
    assert changes == ["listens on 127.0.0.1:8001, which only this machine reaches"]


def test_in_a_container_it_says_that_others_reach_it() -> None:
    machine = LAPTOP._replace(host=IPv4Address("0.0.0.0"))
    adapted = adapt({"http_options": {"host": "0.0.0.0", "port": 8000}, "applications": []}, machine)
    assert adapted.serve_config["http_options"] == {"host": "0.0.0.0", "port": 8001}
    assert adapted.changes == ["listens on 0.0.0.0:8001, which other machines may reach, without a token"]


def test_a_model_without_gpus() -> None:
    found, changes = adapted_model(LAPTOP)
    assert found == {
        "model_loading_config": {"model_id": "qwen3-0.6b", "model_source": "Qwen/Qwen3-0.6B"},
        "engine_kwargs": {"max_model_len": 8192, "tensor_parallel_size": 1, "enforce_eager": True},
        "placement_group_config": {"bundles": [{"CPU": 1}]},
        "deployment_config": {"autoscaling_config": {"min_replicas": 1, "max_replicas": 2}, "max_ongoing_requests": 64},
    }
    assert changes[1:] == [
        "chat: model qwen3-0.6b: on the CPU instead of L4, with nothing compiled (enforce_eager)",
        "chat: model qwen3-0.6b: tensor_parallel_size 1 instead of 2",
        "chat: model qwen3-0.6b: gpu_memory_utilization left out, only a GPU can use it",
    ]


def test_a_tiny_model() -> None:
    engine = {
        "max_model_len": 8192,
        "quantization": "awq",
        "reasoning_parser": "qwen3",
        "tool_call_parser": "hermes",
        "max_num_seqs": 8,
    }
    found, changes = adapted_model(TINY_LAPTOP, engine_kwargs=engine, lora_config={"max_num_adapters_per_replica": 2})
    assert found["model_loading_config"] == {"model_id": "qwen3-0.6b", "model_source": "/tiny/generate"}
    assert found["engine_kwargs"] == {
        "max_model_len": 256,
        "max_num_seqs": 8,
        "tool_call_parser": "hermes",
        "dtype": "float32",
        "enforce_eager": True,
    }
    assert "lora_config" not in found
    assert changes[1:5] == [
        "chat: model qwen3-0.6b: a tiny random model made here instead of Qwen/Qwen3-0.6B; its answers are noise",
        "chat: model qwen3-0.6b: lora_config left out, the tiny model takes no adapters",
        "chat: model qwen3-0.6b: quantization, reasoning_parser left out, the tiny model has no use for it",
        "chat: model qwen3-0.6b: max_model_len 256, the most that the tiny model takes",
    ]


@pytest.mark.parametrize(
    ("given", "expected"), [({"max_model_len": 128}, 128), ({"max_model_len": 4096}, 256), ({}, 256)]
)
def test_the_length_of_a_tiny_model(given: dict[str, Any], expected: int) -> None:
    found, _ = adapted_model(TINY_LAPTOP, engine_kwargs=given)
    assert found["engine_kwargs"]["max_model_len"] == expected


@pytest.mark.parametrize(
    ("loading", "named"),
    [
        ({"model_id": "m", "model_source": {"bucket_uri": "s3://b/m"}}, "s3://b/m"),
        ({"model_id": "org/m"}, "org/m"),
    ],
)
def test_a_tiny_model_names_what_it_replaces(loading: dict[str, Any], named: str) -> None:
    _, changes = adapted_model(TINY_LAPTOP, model_loading_config=loading)
    assert f"a tiny random model made here instead of {named};" in changes[1]


def test_the_environment_of_a_model_wins() -> None:
    env = {"env_vars": {"TORCHDYNAMO_DISABLE": "0", "A": "b"}, "pip": ["x"]}
    found, _ = adapted_model(LAPTOP, runtime_env=env)
    assert found["runtime_env"] == env


def test_a_model_with_gpus_keeps_them() -> None:
    found, changes = adapted_model(GPU_MACHINE)
    given = model()
    del given["accelerator_type"]
    assert found == given
    assert changes[1:] == ["chat: model qwen3-0.6b: on any GPU of this machine instead of L4"]


def test_models_that_ray_reads_from_a_file() -> None:
    serve_config, _, _ = adapt(chat(model(), "model.yaml"), TINY_LAPTOP)  # type: ignore[arg-type]
    assert serve_config["applications"][0]["args"]["llm_configs"][1] == "model.yaml"


def deployment(**options: Any) -> dict[str, Any]:
    """A Serve config with one app of ours, with these options on its deployment."""
    deployments = [{"name": "D", "num_replicas": 2, **options}]
    app = {"name": "mine", "import_path": "a:b", "args": {"llm_configs": "not ours"}, "deployments": deployments}
    return {"http_options": {"host": "127.0.0.1", "port": 8001}, "applications": [app]}


def test_a_deployment_without_gpus() -> None:
    options = {"num_cpus": 2, "num_gpus": 1, "accelerator_type": "L4", "resources": {"slots": 1}}
    given = deployment(ray_actor_options=options, placement_group_bundles=[{"CPU": 2, "GPU": 1}, {"GPU": 1}])
    serve_config, changes, _ = adapt(given, LAPTOP)
    app = serve_config["applications"][0]
    assert app["args"] == {"llm_configs": "not ours"}
    assert app["deployments"] == [
        {
            "name": "D",
            "num_replicas": 2,
            "ray_actor_options": {"num_cpus": 2},
            "placement_group_bundles": [{"CPU": 2}, {"CPU": 1}],
        }
    ]
    assert changes == [
        "mine: D: accelerator_type L4 left out, this machine has none",
        "mine: D: resources {'slots': 1} left out, this machine has none",
        "mine: D: num_gpus 1 left out, this machine has none",
        "mine: D: placement bundles of CPUs instead of GPUs",
    ]


def test_a_deployment_with_gpus() -> None:
    given = deployment(ray_actor_options={"num_gpus": 1, "accelerator_type": "L4"})
    serve_config, changes, _ = adapt(given, GPU_MACHINE)
    assert serve_config["applications"][0]["deployments"][0]["ray_actor_options"] == {"num_gpus": 1}
    assert changes == ["mine: D: accelerator_type L4 left out, this machine has none"]


def test_nothing_is_compiled_and_the_apps_own_variables_stay() -> None:
    """In the app's environment: Ray would put a model's in its place, and the prompts would be logged."""
    config = chat(model())
    config["applications"][0]["runtime_env"] = {"env_vars": {"RAYLLM_ENABLE_REQUEST_PROMPT_LOGS": "0", "HF_HOME": "/x"}}
    (app,) = adapt(config, LAPTOP).serve_config["applications"]
    assert app["runtime_env"] == {"env_vars": {"RAYLLM_ENABLE_REQUEST_PROMPT_LOGS": "0", "TORCHDYNAMO_DISABLE": "1"}}
    assert "runtime_env" not in app["args"]["llm_configs"][0]


@pytest.mark.parametrize(("haproxy", "left"), [(False, {}), (True, {"RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1"})])
def test_only_haproxy_passes_requests_directly(haproxy: bool, left: dict[str, str]) -> None:
    config = chat(model())
    config["applications"][0]["runtime_env"] = {"env_vars": {"RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "1"}}
    (app,) = adapt(config, LAPTOP._replace(haproxy=haproxy)).serve_config["applications"]
    assert app["runtime_env"]["env_vars"] == {**left, "TORCHDYNAMO_DISABLE": "1"}


HUB = {"repository": "a/b"}


@pytest.mark.parametrize(
    ("given", "length"), [({}, 256), ({"max_model_len": 1000}, 1000), ({"max_model_len": 8192}, 2048)]
)
def test_a_tiny_model_in_a_graph_takes_what_other_nodes_found(given: dict[str, Any], length: int) -> None:
    nodes = [{"name": "reply", "generate": {"model": HUB, "engine": given}}]
    app = {"name": "g", "import_path": "llmpipeline_serve.graph.app:build", "args": {"nodes": nodes}}
    (adapted,) = adapt({"applications": [app]}, TINY_LAPTOP).serve_config["applications"]
    assert adapted["args"]["nodes"][0]["generate"]["engine"]["max_model_len"] == length


def test_a_graph_with_tiny_models() -> None:
    nodes = [
        {"name": "clean", "preprocess": {"tokenizer": HUB}},
        {"name": "kind", "classify": {"model": HUB}},
        {"name": "short", "summarize": {"model": HUB}},
        {"name": "vector", "embed": {"model": HUB}},
        {
            "name": "reply",
            "generate": {"model": HUB, "engine": {"gpu_memory_utilization": 0.9, "quantization": "fp8"}},
        },
    ]
    deployments = [
        {"name": "Graph", "user_config": {"nodes": [{"name": "reply", "prompt": "x"}]}},
        {"name": "kind"},
        {"name": "vector", "user_config": {"pooling": "cls"}},
        {"name": "reply", "user_config": {}},
    ]
    import_path = "llmpipeline_serve.graph.app:build"
    app = {"name": "g", "import_path": import_path, "args": {"nodes": nodes}, "deployments": deployments}
    serve_config, changes, _ = adapt({"applications": [app]}, TINY_LAPTOP)
    (adapted,) = serve_config["applications"]
    clean, kind, short, vector, reply = adapted["args"]["nodes"]
    assert clean["preprocess"] == {"tokenizer": {"path": "/tiny/generate"}}
    assert kind["classify"] == {"model": {"path": "/tiny/classify"}}
    assert short["summarize"] == {"model": {"path": "/tiny/summarize"}}
    assert vector["embed"] == {"model": {"path": "/tiny/embed"}}
    assert reply["generate"] == {
        "model": {"path": "/tiny/generate"},
        "engine": {"max_model_len": 256, "dtype": "float32", "enforce_eager": True},
    }
    assert adapted["deployments"] == [
        *deployments[:-1],
        {"name": "reply", "user_config": {"sampling": {"max_tokens": 32}}},
    ]
    assert adapted["runtime_env"] == {"env_vars": {"TORCHDYNAMO_DISABLE": "1"}}
    assert "g: node kind: a tiny random model made here instead of a/b; its answers are noise" in changes
    assert "g: node reply: quantization left out, the tiny model has no use for it" in changes


@pytest.mark.parametrize(("given", "expected"), [({}, 32), ({"max_tokens": 8}, 8), ({"max_tokens": 900}, 32)])
def test_answers_of_a_tiny_model_are_short(given: dict[str, Any], expected: int) -> None:
    settings = {"sampling": {"temperature": 0.1, **given}, "limits": {"timeout_seconds": 9}}
    app = {
        "name": "g",
        "import_path": "llmpipeline_serve.generate:build",
        "args": {"model": HUB},
        "deployments": [{"name": "Generate", "user_config": settings}],
    }
    ((deployment,),) = [it["deployments"] for it in adapt({"applications": [app]}, TINY_LAPTOP)[0]["applications"]]
    adapted = {"sampling": {"temperature": 0.1, "max_tokens": expected}, "limits": {"timeout_seconds": 9}}
    assert deployment["user_config"] == adapted
    ((same,),) = [it["deployments"] for it in adapt({"applications": [app]}, LAPTOP)[0]["applications"]]
    assert same["user_config"] == settings


def test_settings_that_the_app_does_not_take() -> None:
    deployment = {"name": "Hello", "user_config": {"mesage": "typo"}}
    app = {"name": "g", "import_path": "llmpipeline_serve.hello:build", "args": {}, "deployments": [deployment]}
    with pytest.raises(RunnerError, match=r"app g: Hello: user_config\.mesage: Extra inputs"):
        adapt({"applications": [app]}, LAPTOP)


def test_prefill_and_decode_become_one() -> None:
    kv_transfer = {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    configs = {
        f"{part}_config": model(engine_kwargs={"kv_transfer_config": kv_transfer}) for part in ("prefill", "decode")
    }
    app = {"name": "chat", "import_path": "ray.serve.llm:build_pd_openai_app", "args": configs}
    serve_config, changes, _ = adapt({"applications": [app]}, TINY_LAPTOP)
    (adapted,) = serve_config["applications"]
    assert adapted["import_path"] == "ray.serve.llm:build_openai_app"
    (config,) = adapted["args"]["llm_configs"]
    assert "kv_transfer_config" not in config["engine_kwargs"]
    assert "chat: prompts are read and answers written by the same replica" in changes


def test_a_tiny_embedder_stands_in_for_an_embedder() -> None:
    found, _ = adapted_model(TINY_LAPTOP, engine_kwargs={"runner": "pooling"})
    assert found["model_loading_config"]["model_source"] == "/tiny/embed"
    assert found["engine_kwargs"]["runner"] == "pooling"


def test_a_traffic_split_asks_on_the_port_of_this_machine() -> None:
    app = {"name": "s", "import_path": "llmpipeline_serve.traffic_split.app:build", "args": {"port": 8000}}
    serve_config, _, _ = adapt({"applications": [app]}, LAPTOP)
    assert serve_config["applications"][0]["args"] == {"port": 8001}


def test_nothing_to_change() -> None:
    given = deployment(ray_actor_options={"num_cpus": 0.5})
    assert adapt(given, LAPTOP) == (given, [], False)


@pytest.mark.parametrize(
    ("config", "machine", "expected"),
    [
        (chat(model()), LAPTOP, True),
        (chat(model()), GPU_MACHINE, False),
        ({"applications": [{"name": "h", "import_path": "llmpipeline_serve.hello:build"}]}, LAPTOP, False),
    ],
    ids=["a model on CPUs", "a model on a GPU", "no model"],
)
def test_whether_an_engine_runs_on_cpus(config: dict[str, Any], machine: Machine, expected: bool) -> None:
    assert adapt(config, machine).has_cpu_engine is expected
