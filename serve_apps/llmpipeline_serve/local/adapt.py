"""What must change in a Serve config written for GPU nodes before one machine can run it.

Pure: a Serve config in, another one and what was changed out. The apps, routes, replicas and limits stay as they are.
"""

from typing import NamedTuple

from llmpipeline_serve.local.adapt_bundled import bundled_args, has_engine
from llmpipeline_serve.local.adapt_engine import Config, Machine, cpu_engine, tiny_engine
from llmpipeline_serve.local.tiny import EMBED, GENERATE

OPENAI_APP = "ray.serve.llm:build_openai_app"
PREFILL_APP = "ray.serve.llm:build_pd_openai_app"

# These are folders of the Ray Pods.
_CACHE_VARIABLES = ("HF_HOME", "LLMPIPELINE_MODEL_CACHE")
# Only HAProxy can pass a request to a model's replica past the ingress. On a laptop there is none: it would listen with
# its metrics on all interfaces.
_DIRECT = "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING"
# These name nodes of the cluster; one machine is the only node there is, whatever it has.
_NODE_ACTOR_OPTIONS = ("accelerator_type", "resources", "label_selector", "fallback_strategy")


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
    if app.get("import_path") == PREFILL_APP:
        app = _in_one(app, changes)
    if app.get("import_path") == OPENAI_APP:
        app["args"] = _openai_args(app.get("args", {}), app["name"], machine, changes)
    elif "args" in app:
        app["args"] = bundled_args(app["import_path"], app["args"], app["name"], machine, changes)
    if runtime_env := _runtime_env(
        app.get("runtime_env") or {}, machine, engine=app["import_path"] == OPENAI_APP or has_engine(app)
    ):
        app["runtime_env"] = runtime_env
    return app


def _in_one(app: Config, changes: list[str]) -> Config:
    """Prefill and decode in one deployment: handing the memory of a prompt over takes two GPUs."""
    changes.append(f"{app['name']}: prompts are read and answers written by the same replica")
    args = {key: value for key, value in app["args"].items() if key not in ("prefill_config", "decode_config")}
    deployments = [
        {**item, "name": item["name"].replace("Decode:", "LLMServer:")}
        for item in app.get("deployments", [])
        if not item["name"].startswith("Prefill:")
    ]
    args["llm_configs"] = [app["args"]["decode_config"]]
    return {**app, "import_path": OPENAI_APP, "args": args, "deployments": deployments}


def _runtime_env(given: Config, machine: Machine, *, engine: bool) -> Config:
    """The app's runtime environment: models are kept where this machine keeps them, and nothing is compiled on CPUs.

    The app's, and not a model's: Ray puts a model's in the place of the app's, whose variables would be lost.
    """
    if not given.get("env_vars") and not engine:
        return given
    unwanted = _CACHE_VARIABLES if machine.haproxy else (*_CACHE_VARIABLES, _DIRECT)
    variables = {key: value for key, value in given.get("env_vars", {}).items() if key not in unwanted}
    kept = {key: value for key, value in given.items() if key != "env_vars"}
    if variables:
        kept["env_vars"] = variables
    return _without_compiler(kept) if engine and not machine.gpus else kept


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
    if machine.tiny_models:
        kind = EMBED if model.get("engine_kwargs", {}).get("runner") == "pooling" else GENERATE
        model = _tiny(model, machine.tiny_models[kind], where, changes)
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
    return {
        **{key: value for key, value in model.items() if key != "lora_config"},
        "model_loading_config": {"model_id": loading.get("model_id"), "model_source": path},
        "engine_kwargs": tiny_engine(model.get("engine_kwargs", {}), where, changes),
    }


def _on_cpu(model: Config, where: str, changes: list[str]) -> Config:
    accelerator = model.get("accelerator_type") or "a GPU"
    changes.append(f"{where}: on the CPU instead of {accelerator}, with nothing compiled (enforce_eager)")
    return {
        **{key: value for key, value in model.items() if key not in ("accelerator_type", "accelerator_config")},
        "placement_group_config": {"bundles": [{"CPU": 1}]},
        "engine_kwargs": cpu_engine(model.get("engine_kwargs", {}), where, changes),
    }


def _without_compiler(runtime_env: Config) -> Config:
    """Keep even the sampler from compiling C++ in the first request: 15 seconds, or an error without a compiler."""
    return {**runtime_env, "env_vars": {"TORCHDYNAMO_DISABLE": "1", **runtime_env.get("env_vars", {})}}
