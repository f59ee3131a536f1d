"""An `openai` app in the terms of Ray Serve LLM."""

from collections.abc import Iterator
from typing import Any, Final

from llmpipeline.api.apps import App
from llmpipeline.api.defaults import ONGOING_REQUESTS
from llmpipeline.api.deployment import Deployment
from llmpipeline.api.openai import OpenAI, OpenAIModel
from llmpipeline.kuberay.ray_versions import has_haproxy
from llmpipeline.plan.apps.application import Application, Planned, Setting
from llmpipeline.plan.apps.deployment import actor_options, bundle, demand, options, replicas
from llmpipeline.plan.apps.models import engine_arguments, secrets
from llmpipeline.plan.capacity.accelerators import accelerator_of
from llmpipeline.plan.capacity.demand import Bundle, Demand
from llmpipeline_serve.contract.environment import DIRECT_STREAMING
from llmpipeline_serve.contract.openai import DECODE, IMPORT_PATH, INGRESS, MODEL, PREFILL, PREFILL_IMPORT_PATH

PREFIX_ROUTER: Final = "ray.serve.llm.request_router.PrefixCacheAffinityRouter"
# Ray Serve LLM writes every prompt to its log unless this is off.
NO_PROMPTS: Final = {"RAYLLM_ENABLE_REQUEST_PROMPT_LOGS": "0"}
THROUGHPUT: Final = {
    # One event loop in a replica instead of three, a buffered access log, calls between replicas by gRPC: each token
    # passes there. Here and not on the Pods, for the code of custom apps may block its loop.
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # Those calls take 4 MiB unless told otherwise, which an image in a chat exceeds.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(2**31 - 1),
}
DIRECT: Final = {DIRECT_STREAMING: "1"}
# The model's memory of prompts goes from GPU to GPU.
_KV_TRANSFER: Final = {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
_STRATEGIES: Final = {
    "StrictPack": "STRICT_PACK",
    "Pack": "PACK",
    "Spread": "SPREAD",
    "StrictSpread": "STRICT_SPREAD",
}


def planned(app: App, openai: OpenAI, setting: Setting) -> Planned:
    """The Serve application, and what its deployments take."""
    models, ray = openai.models, setting.ray
    optimized = ray.performance == "Optimized"
    direct = optimized and is_direct(openai) and has_haproxy(ray.version)
    prefilled = any(model.prefill for model in models)
    application = Application(
        name=app.name,
        route_prefix=app.route,
        import_path=PREFILL_IMPORT_PATH if prefilled else IMPORT_PATH,
        args=_models_args(openai) | ({} if direct else _ingress_args(openai)),
        deployments=tuple(_deployments(openai, direct)),
        runtime_env={"env_vars": NO_PROMPTS | (THROUGHPUT if optimized else {}) | (DIRECT if direct else {})},
        secrets=tuple(secret for model in models for secret in secrets(model.source)),
    )
    demands = [demand for model in models for demand in _demands(app.name, model)]
    if not direct:
        demands.append(demand(app.name, INGRESS, openai.ingress or Deployment(), "ingress", None))
    return Planned(application, tuple(demands))


def is_direct(openai: OpenAI) -> bool:
    """Whether requests go from the proxy to the model's replicas, without an ingress deployment between.

    Ray Serve LLM can do so for one model. Adapters and prefix-aware routing would need the body of every request in the
    proxy, and nobody would hold the requests for a model that sleeps.
    """
    only, *others = openai.models
    plain = not (only.lora or only.prefill) and only.routing == "Default"
    return not others and openai.ingress is None and plain and replicas(only).minimum > 0


def deployment_name(model: str) -> str:
    """Ray's name for the part of a model's deployment that comes after `LLMServer:`."""
    return model.replace("/", "--").replace(".", "_")


def strategy(model: OpenAIModel) -> str:
    """How the GPUs of one replica are placed, in the resource's words: on one node, where nodes have so many."""
    if model.placement:
        return model.placement
    workers = model.tensor_parallel_size * model.pipeline_parallel_size
    most = accelerator_of(model.accelerator).facts.most_per_node if model.accelerator else workers
    return "StrictPack" if workers <= most else "Pack"


def _models_args(openai: OpenAI) -> dict[str, Any]:
    (first, *_) = openai.models
    if first.prefill:
        return {"prefill_config": _llm_config(first, first.prefill), "decode_config": _llm_config(first, first)}
    return {"llm_configs": [_llm_config(model, model) for model in openai.models]}


def _ingress_args(openai: OpenAI) -> dict[str, Any]:
    ingress = openai.ingress or Deployment()
    settings = {**_replicas_in_args(ingress), "ray_actor_options": actor_options(ingress)}
    return {"ingress_deployment_config": settings}


def _deployments(openai: OpenAI, direct: bool) -> Iterator[dict[str, Any]]:
    """How the deployments scale and queue.

    Here and not among the arguments: a change of those restarts every replica of the app, the models' too.
    """
    for model in openai.models:
        if prefill := model.prefill:
            settings = options(prefill, ONGOING_REQUESTS.openai_model, bounded=False)
            yield {"name": _serve_name(model, prefill), **settings}
        yield {"name": _serve_name(model, model), **options(model, ONGOING_REQUESTS.openai_model, bounded=direct)}
    if not direct:
        yield {"name": INGRESS, **options(openai.ingress or Deployment(), ONGOING_REQUESTS.openai_ingress)}


def _serve_name(model: OpenAIModel, block: Deployment) -> str:
    """Ray Serve's name of a model's deployment: its own or, where `block` is that, of its prefill."""
    kind = (PREFILL if block is model.prefill else DECODE) if model.prefill else MODEL
    return f"{kind}:{deployment_name(model.name)}"


def _replicas_in_args(block: Deployment) -> dict[str, Any]:
    """Keeps Ray Serve LLM from scaling a deployment by itself whose replicas are fixed."""
    return {} if block.autoscaling else {"num_replicas": 1}


def _llm_config(model: OpenAIModel, block: Deployment) -> dict[str, Any]:
    """One LLMConfig of Ray Serve LLM: the model with the settings of a deployment, its own or that of prefill."""
    config: dict[str, Any] = {"model_loading_config": _loading(model)} | _accelerator(model)
    if model.lora:
        config["lora_config"] = {
            "dynamic_lora_loading_path": model.lora.uri.rstrip("/"),
            "max_num_adapters_per_replica": model.lora.max_adapters,
        }
    engine = _engine(model)
    if engine.get("disable_log_stats"):  # Ray refuses it while it exports the engine's metrics
        config["log_engine_metrics"] = False
    return config | {
        "engine_kwargs": engine,
        "placement_group_config": {"bundles": _bundles(model), "strategy": _STRATEGIES[strategy(model)]},
        "deployment_config": {
            **_replicas_in_args(block),
            "ray_actor_options": {key: value for key, value in actor_options(block).items() if key != "num_gpus"},
            **_routing(model),
        },
    }


def _accelerator(model: OpenAIModel) -> dict[str, Any]:
    """The kind of accelerator in Ray Serve LLM's terms, if it knows it: slices and others only the bundles name."""
    kind = accelerator_of(model.accelerator) if model.accelerator else None
    if not kind or kind.partition or not kind.facts.in_ray_llm:
        return {}
    config: dict[str, Any] = {"accelerator_type": kind.ray}
    return config | ({"accelerator_config": {"kind": "tpu", "topology": kind.topology}} if kind.is_tpu else {})


def _bundles(model: OpenAIModel) -> list[dict[str, Any]]:
    """One-GPU bundles, and never num_gpus on the actor as well: that would count the first GPU twice."""
    workers = model.tensor_parallel_size * model.pipeline_parallel_size
    if not model.accelerator:
        return [{"CPU": 1}] * workers
    kind = accelerator_of(model.accelerator)
    return [{kind.ray_resource: 1, f"accelerator_type:{kind.ray}": 0.001}] * workers


def _routing(model: OpenAIModel) -> dict[str, Any]:
    if model.routing == "Default":
        return {}
    return {"request_router_config": {"request_router_class": PREFIX_ROUTER}}


def _loading(model: OpenAIModel) -> dict[str, Any]:
    source = model.source
    if source.store:
        return {"model_id": model.name, "model_source": {"bucket_uri": source.store}}
    return {"model_id": model.name, "model_source": source.hub.repository if source.hub else source.folder}


def _engine(model: OpenAIModel) -> dict[str, Any]:
    arguments = engine_arguments(model.engine, on_gpu=model.accelerator is not None)
    arguments["tensor_parallel_size"] = model.tensor_parallel_size
    arguments["pipeline_parallel_size"] = model.pipeline_parallel_size
    if model.source.hub and model.source.hub.revision:
        arguments["revision"] = model.source.hub.revision
    if model.task == "Embed":
        arguments["runner"] = "pooling"
    if model.lora:
        adapters, rank = model.lora.max_adapters, model.lora.max_rank
        arguments |= {"enable_lora": True, "max_loras": adapters, "max_lora_rank": rank}
    if model.prefill:
        arguments.setdefault("kv_transfer_config", dict(_KV_TRANSFER))
    return arguments


def _demands(app: str, model: OpenAIModel) -> Iterator[Demand]:
    yield _demand(app, f"model {model.name}", model.name, model, model)
    if model.prefill:
        yield _demand(app, f"prefill of model {model.name}", None, model, model.prefill)


def _demand(app: str, part: str, deployment: str | None, model: OpenAIModel, block: Deployment) -> Demand:
    """StrictPack keeps a replica in one Pod, StrictSpread gives each GPU its own; else a Pod holds a pipeline stage.

    The replica's own actor shares the first bundle with the engine's first worker.
    """
    own = bundle(block)
    kind = accelerator_of(model.accelerator) if model.accelerator else None
    each = Bundle(gpu_milli=1000) if kind else Bundle(cpu_milli=1000)
    total = model.tensor_parallel_size * model.pipeline_parallel_size
    stages = {"StrictPack": 1, "StrictSpread": total}.get(strategy(model), model.pipeline_parallel_size)
    if kind and kind.is_tpu:
        stages = max(1, total // kind.chips_per_host)
    workers = total // stages
    stage = Bundle(each.cpu_milli * workers, each.gpu_milli * workers)
    first = Bundle(stage.cpu_milli + own.cpu_milli, stage.gpu_milli, own.memory)
    return Demand(
        app=app,
        part=part,
        deployment=deployment,
        accelerator=kind,
        replicas=replicas(block),
        shares=(first, *[stage] * (stages - 1)),
        splits=strategy(model) in ("Pack", "Spread"),
        serve=_serve_name(model, block),
        order=block.update_order,
    )
