"""What must change in an app of Ray Serve LLM, and in any deployment, before one machine can run it. Pure.

Its arguments are Ray's own and have no type here because Ray is not imported before it is started.
"""

from typing import NamedTuple

from llmpipeline_serve.contract.openai import DECODE, IMPORT_PATH, MODEL, PREFILL
from llmpipeline_serve.local.adapt_engine import AdaptedEngine, Config, cpu_engine, tiny_engine
from llmpipeline_serve.local.machine import Machine
from llmpipeline_serve.local.tiny import EMBED, GENERATE

# These name nodes of the cluster; one machine is the only node there is, whatever it has.
_NODE_ACTOR_OPTIONS = ("accelerator_type", "resources", "label_selector", "fallback_strategy")


class Placed(NamedTuple):
    """The config of a deployment that can be placed on this machine, and a sentence for each change."""

    config: Config
    changes: list[str]


def on_this_machine(deployment: Config, where: str, machine: Machine) -> Placed:
    """Let a deployment's replicas be placed here: they may ask for no kind of node, nor for GPUs that are not there."""
    deployment, changes = dict(deployment), []
    where = f"{where}: {deployment['name']}" if "name" in deployment else where
    if options := deployment.get("ray_actor_options"):
        unwanted = _NODE_ACTOR_OPTIONS if machine.gpus else (*_NODE_ACTOR_OPTIONS, "num_gpus")
        deployment["ray_actor_options"] = {k: v for k, v in options.items() if k not in unwanted}
        changes += [f"{where}: {k} {options[k]} left out, this machine has none" for k in unwanted if options.get(k)]
        # By it Ray only chooses a node, and would wait for a larger one.
        if deployment["ray_actor_options"].pop("memory", None):
            changes.append(f"{where}: memory left out, this machine is the only node")
    bundles = deployment.get("placement_group_bundles") or []
    if not machine.gpus and any("GPU" in bundle for bundle in bundles):
        deployment["placement_group_bundles"] = [{"CPU": bundle.get("CPU", 1)} for bundle in bundles]
        changes.append(f"{where}: placement bundles of CPUs instead of GPUs")
    return Placed(deployment, changes)


def with_one_deployment(app: Config) -> Config:
    """Prefill and decode in one deployment: handing the memory of a prompt over takes two GPUs."""
    args = {key: value for key, value in app["args"].items() if key not in ("prefill_config", "decode_config")}
    deployments = [
        {**item, "name": item["name"].replace(f"{DECODE}:", f"{MODEL}:")}
        for item in app.get("deployments", [])
        if not item["name"].startswith(f"{PREFILL}:")
    ]
    args["llm_configs"] = [app["args"]["decode_config"]]
    return {**app, "import_path": IMPORT_PATH, "args": args, "deployments": deployments}


class OpenAIAdaptation:
    """The way of an app's arguments to this machine; `changes` says what differs, a sentence each."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.changes: list[str] = []

    def adapted(self, args: Config, app: str) -> Config:
        """The arguments as this machine can run them."""
        models = args.get("llm_configs", [])
        # Ray also takes paths of YAML files here; those it reads itself.
        changed: Config = {"llm_configs": [self._model(m, app) if isinstance(m, dict) else m for m in models]}
        if ingress := args.get("ingress_deployment_config"):
            changed["ingress_deployment_config"] = self._placed(ingress, f"{app}: ingress")
        return {**args, **changed}

    def _model(self, model: Config, app: str) -> Config:
        where = f"{app}: model {model.get('model_loading_config', {}).get('model_id')}"
        if self._machine.tiny_models:
            kind = EMBED if model.get("engine_kwargs", {}).get("runner") == "pooling" else GENERATE
            model = self._tiny(model, self._machine.tiny_models[kind], where)
        if not self._machine.gpus:
            model = self._on_cpu(model, where)
        elif accelerator := model.get("accelerator_type"):
            model = {key: value for key, value in model.items() if key != "accelerator_type"}
            self._note(where, f"on any GPU of this machine instead of {accelerator}")
        if deployment := model.get("deployment_config"):
            model = {**model, "deployment_config": self._placed(deployment, where)}
        return model

    def _tiny(self, model: Config, path: str, where: str) -> Config:
        loading = model.get("model_loading_config", {})
        source = loading.get("model_source", loading.get("model_id"))
        source = source.get("bucket_uri", source) if isinstance(source, dict) else source
        self._note(where, f"a tiny random model made here instead of {source}; its answers are noise")
        if "lora_config" in model:
            self._note(where, "lora_config left out, the tiny model takes no adapters")
        return {
            **{key: value for key, value in model.items() if key != "lora_config"},
            "model_loading_config": {"model_id": loading.get("model_id"), "model_source": path},
            "engine_kwargs": self._noted(tiny_engine(model.get("engine_kwargs", {})), where),
        }

    def _on_cpu(self, model: Config, where: str) -> Config:
        accelerator = model.get("accelerator_type") or "a GPU"
        self._note(where, f"on the CPU instead of {accelerator}, with nothing compiled (enforce_eager)")
        return {
            **{key: value for key, value in model.items() if key not in ("accelerator_type", "accelerator_config")},
            "placement_group_config": {"bundles": [{"CPU": 1}]},
            "engine_kwargs": self._noted(cpu_engine(model.get("engine_kwargs", {})), where),
        }

    def _placed(self, deployment: Config, where: str) -> Config:
        placed = on_this_machine(deployment, where, self._machine)
        self.changes += placed.changes
        return placed.config

    def _noted(self, engine: AdaptedEngine, where: str) -> Config:
        for change in engine.changes:
            self._note(where, change)
        return engine.arguments

    def _note(self, where: str, change: str) -> None:
        self.changes.append(f"{where}: {change}")
