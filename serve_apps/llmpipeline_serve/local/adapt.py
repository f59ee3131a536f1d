"""What must change in a Serve config written for GPU nodes before one machine can run it.

Pure: a Serve config in, another one and what was changed out. The apps, routes, replicas and limits stay as they are.
"""

from typing import Any, NamedTuple

Config = dict[str, Any]

OPENAI_APP = "ray.serve.llm:build_openai_app"
TINY_MAX_MODEL_LEN = 256

# vLLM accepts these on a CPU only at their defaults, or they size something that only a GPU has.
_GPU_ENGINE_ARGUMENTS = frozenset({
    "attention_backend",
    "compilation_config",
    "cpu_offload_gb",
    "cudagraph_capture_sizes",
    "disable_custom_all_reduce",
    "distributed_executor_backend",
    "enable_expert_parallel",
    "gpu_memory_utilization",
    "kv_cache_dtype",
    "kv_cache_memory_bytes",
    "kv_transfer_config",
    "max_cudagraph_capture_size",
    "num_gpu_blocks_override",
    "swap_space",
})  # fmt: skip
_PARALLEL_SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
# Whatever else is set (quantization, parsers, adapters, rope scaling) is about the real model's weights or tokenizer.
_TINY_ENGINE_ARGUMENTS = frozenset({
    "enable_chunked_prefill",
    "enable_prefix_caching",
    "enforce_eager",
    "max_num_batched_tokens",
    "max_num_seqs",
    "seed",
    *_PARALLEL_SIZES,
})  # fmt: skip
# These name nodes of the cluster; one machine is the only node there is, whatever it has.
_NODE_ACTOR_OPTIONS = ("accelerator_type", "resources", "label_selector", "fallback_strategy")


class Machine(NamedTuple):
    """What the Serve config is adapted to."""

    port: int
    gpus: float
    tiny_model: str | None
    """The directory of the model that stands in for every model."""


class Adapted(NamedTuple):
    """A Serve config for this machine, and a sentence for each change."""

    serve_config: Config
    changes: list[str]


def adapt(serve_config: Config, machine: Machine) -> Adapted:
    """Return the Serve config that this machine can run, and what differs from the one given."""
    changes: list[str] = []
    applications = [_application(app, machine, changes) for app in serve_config.get("applications", [])]
    given = serve_config.get("http_options", {})
    http = {**given, "host": "127.0.0.1", "port": machine.port}
    if given.get("host") != http["host"] or given.get("port") != http["port"]:
        changes.insert(0, f"listens on {http['host']}:{http['port']}, which only this machine reaches")
    return Adapted({**serve_config, "http_options": http, "applications": applications}, changes)


def _application(app: Config, machine: Machine, changes: list[str]) -> Config:
    app = dict(app)
    if app.get("deployments"):
        app["deployments"] = [_deployment(d, app["name"], machine, changes) for d in app["deployments"]]
    if app.get("import_path") == OPENAI_APP:
        app["args"] = _openai_args(app.get("args", {}), app["name"], machine, changes)
    return app


def _deployment(deployment: Config, where: str, machine: Machine, changes: list[str]) -> Config:
    """Let a deployment's replicas be placed here: they may ask for no kind of node, nor for GPUs that are not there."""
    deployment = dict(deployment)
    where = f"{where}: {deployment['name']}" if "name" in deployment else where
    if options := deployment.get("ray_actor_options"):
        unwanted = _NODE_ACTOR_OPTIONS if machine.gpus else (*_NODE_ACTOR_OPTIONS, "num_gpus")
        deployment["ray_actor_options"] = {k: v for k, v in options.items() if k not in unwanted}
        changes.extend(f"{where}: {k} {options[k]} left out, this machine has none" for k in unwanted if options.get(k))
    bundles = deployment.get("placement_group_bundles") or []
    if not machine.gpus and any("GPU" in bundle for bundle in bundles):
        deployment["placement_group_bundles"] = [{"CPU": bundle.get("CPU", 1)} for bundle in bundles]
        changes.append(f"{where}: placement bundles of CPUs instead of GPUs")
    return deployment


def _openai_args(args: Config, app: str, machine: Machine, changes: list[str]) -> Config:
    args = dict(args)
    models = args.get("llm_configs", [])
    # Ray also takes paths of YAML files here; those it reads itself.
    args["llm_configs"] = [_model(m, app, machine, changes) if isinstance(m, dict) else m for m in models]
    if ingress := args.get("ingress_deployment_config"):
        args["ingress_deployment_config"] = _deployment(ingress, f"{app}: ingress", machine, changes)
    return args


def _model(model: Config, app: str, machine: Machine, changes: list[str]) -> Config:
    where = f"{app}: model {model.get('model_loading_config', {}).get('model_id')}"
    if machine.tiny_model:
        model = _tiny(model, machine.tiny_model, where, changes)
    if not machine.gpus:
        model = _on_cpu(model, where, changes)
    elif accelerator := model.get("accelerator_type"):
        model = {key: value for key, value in model.items() if key != "accelerator_type"}
        changes.append(f"{where}: on any GPU of this machine instead of {accelerator}")
    if deployment := model.get("deployment_config"):
        model = {**model, "deployment_config": _deployment(deployment, where, machine, changes)}
    return model


def _tiny(model: Config, path: str, where: str, changes: list[str]) -> Config:
    loading = model.get("model_loading_config", {})
    source = loading.get("model_source", loading.get("model_id"))
    source = source.get("bucket_uri", source) if isinstance(source, dict) else source
    changes.append(f"{where}: a tiny random model made here instead of {source}; its answers are noise")
    if "lora_config" in model:
        changes.append(f"{where}: lora_config left out, the tiny model takes no adapters")
    given = model.get("engine_kwargs", {})
    dropped = sorted(given.keys() - _TINY_ENGINE_ARGUMENTS - _GPU_ENGINE_ARGUMENTS - {"max_model_len", "dtype"})
    if dropped:
        changes.append(f"{where}: {', '.join(dropped)} left out, the tiny model has no use for it")
    length = min(given.get("max_model_len") or TINY_MAX_MODEL_LEN, TINY_MAX_MODEL_LEN)
    if length != given.get("max_model_len"):
        changes.append(f"{where}: max_model_len {length}, the most that the tiny model takes")
    kept = _TINY_ENGINE_ARGUMENTS | _GPU_ENGINE_ARGUMENTS
    engine = {key: value for key, value in given.items() if key in kept}
    return {
        **{key: value for key, value in model.items() if key != "lora_config"},
        "model_loading_config": {"model_id": loading.get("model_id"), "model_source": path},
        "engine_kwargs": {**engine, "max_model_len": length, "dtype": "bfloat16"},
    }


def _on_cpu(model: Config, where: str, changes: list[str]) -> Config:
    accelerator = model.get("accelerator_type") or "a GPU"
    changes.append(f"{where}: on the CPU instead of {accelerator}, with nothing compiled (enforce_eager)")
    given = model.get("engine_kwargs", {})
    for key in _PARALLEL_SIZES:
        if given.get(key, 1) != 1:
            changes.append(f"{where}: {key} 1 instead of {given[key]}")
    dropped = sorted(given.keys() & _GPU_ENGINE_ARGUMENTS)
    if dropped:
        changes.append(f"{where}: {', '.join(dropped)} left out, only a GPU can use it")
    engine = {key: value for key, value in given.items() if key not in _GPU_ENGINE_ARGUMENTS}
    engine |= {key: 1 for key in _PARALLEL_SIZES if key in given}
    return {
        **{key: value for key, value in model.items() if key not in ("accelerator_type", "accelerator_config")},
        "placement_group_config": {"bundles": [{"CPU": 1}]},
        "engine_kwargs": {**engine, "enforce_eager": True},
        "runtime_env": _without_compiler(model.get("runtime_env") or {}),
    }


def _without_compiler(runtime_env: Config) -> Config:
    """Keep even the sampler from compiling C++ in the first request: 15 seconds, or an error without a compiler."""
    return {**runtime_env, "env_vars": {"TORCHDYNAMO_DISABLE": "1", **runtime_env.get("env_vars", {})}}
