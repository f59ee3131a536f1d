"""What we render is what Ray takes: its own schema, its own models, importable paths."""

import importlib
import json
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmpipeline.plan.apps.openai import deployment_name
from llmpipeline.render.serve_config import serve_config, serve_config_text
from llmpipeline_serve.contract.catalog import APPS
from support import repository
from support.pipelines import desired_of, plan_of

SAMPLES = sorted(repository.SAMPLES.glob("*.yaml"))
(QUICKSTART,) = [sample for sample in SAMPLES if sample.stem == "quickstart"]


def config_of(sample: Path) -> dict[str, Any]:
    return serve_config(plan_of(yaml.safe_load(sample.read_text())))


def parameter_of(build: Any) -> Any:
    """What a builder takes, by its annotation, whatever the parameter is called."""
    (taken,) = (hint for name, hint in typing.get_type_hints(build).items() if name != "return")
    return taken


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_serve_knows_every_key(sample: Path) -> None:
    """Ray ignores unknown keys silently, so parsing is not enough: what comes back must be what went in."""
    from ray.serve.schema import ServeDeploySchema

    config = config_of(sample)
    parsed = ServeDeploySchema.model_validate(config).model_dump(exclude_unset=True)
    assert json.loads(json.dumps(parsed, default=str)) == config


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_paths_resolve_and_arguments_parse(sample: Path) -> None:
    for app in config_of(sample)["applications"]:
        module, name = app["import_path"].split(":")
        if not module.startswith(("ray.", "llmpipeline_serve.")):
            continue
        build = getattr(importlib.import_module(module), name)
        if known := APPS.get(app["import_path"]):
            # What Serve itself does with the arguments of a builder.
            assert parameter_of(build) is known.args
            args = known.args.model_validate(app["args"])
            for deployment in app["deployments"]:
                # A custom app may name a bundled one, and has no settings.
                if "user_config" in deployment and (settings := known.settings_of(args, deployment["name"])):
                    settings.model_validate(deployment["user_config"])


def test_every_bundled_app_has_a_sample() -> None:
    """What a Serve config names of ours is a promise, which the golden file of a sample holds."""
    named = {app["import_path"] for sample in SAMPLES for app in config_of(sample)["applications"]}
    assert set(APPS) <= named
    for path, app in APPS.items():
        module, name = path.split(":")
        assert parameter_of(getattr(importlib.import_module(module), name)) is app.args


def test_importing_the_apps_imports_no_engine() -> None:
    """Serve imports an app once more to build it: with vLLM or Transformers in it, each deploy would take longer."""
    modules = sorted(
        {app["import_path"].split(":")[0] for sample in SAMPLES for app in config_of(sample)["applications"]}
    )
    ours = [module for module in modules if module.startswith("llmpipeline_serve.")]
    code = f"import sys, {', '.join(ours)}; print([m for m in ('vllm', 'transformers', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_the_contract_needs_pydantic_and_jinja2_alone() -> None:
    """The operator imports it: whatever it needed more would be in the operator's image."""
    added = (
        "import annotated_types, importlib, jinja2.sandbox, pkgutil, pydantic.main, sys; before = set(sys.modules);"
        "import llmpipeline_serve.contract as contract;"
        "[importlib.import_module(f'{contract.__name__}.{it.name}') for it in pkgutil.iter_modules(contract.__path__)];"
        "tops = {it.split('.')[0] for it in set(sys.modules) - before} - sys.stdlib_module_names;"
        "print(sorted(tops - {it.split('.')[0] for it in before}))"
    )
    printed = subprocess.run([sys.executable, "-c", added], check=True, capture_output=True, text=True).stdout
    assert printed == "['llmpipeline_serve']\n"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_ray_takes_every_llm_config(sample: Path) -> None:
    from ray.serve.llm import LLMConfig

    for app in config_of(sample)["applications"]:
        for given in llm_configs(app):
            engine = LLMConfig.model_validate(given).get_engine_config()
            asked = given["placement_group_config"]
            assert engine.placement_bundles == asked["bundles"], "Ray adds nothing to what a replica takes"
            assert engine.placement_strategy == asked["strategy"]


def llm_configs(app: dict[str, Any]) -> list[dict[str, Any]]:
    if not app["import_path"].startswith("ray.serve.llm:"):
        return []
    args = app["args"]
    return [*args.get("llm_configs", ()), *(args[key] for key in ("prefill_config", "decode_config") if key in args)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_ray_knows_the_deployments_that_are_set(sample: Path) -> None:
    """Serve refuses settings of a deployment that the app does not have, but only when it is deployed."""
    for app in config_of(sample)["applications"]:
        if not app["import_path"].startswith("ray.serve.llm:"):
            continue
        args = app["args"]
        models = args.get("llm_configs") or [args["decode_config"]]
        names = [deployment_name(model["model_loading_config"]["model_id"]) for model in models]
        kinds = ["Prefill", "Decode"] if "decode_config" in args else ["LLMServer"]
        ingress = ["OpenAiIngress"] if "ingress_deployment_config" in args else []
        expected = [f"{kind}:{name}" for name in names for kind in kinds] + ingress
        assert [deployment["name"] for deployment in app["deployments"]] == expected


def test_ray_takes_the_llm_config() -> None:
    from ray.llm._internal.serve.core.server.builder import _get_deployment_name
    from ray.serve.llm import LLMConfig

    (app,) = [app for app in config_of(QUICKSTART)["applications"] if app["name"] == "chat"]
    (given,) = app["args"]["llm_configs"]
    config = LLMConfig.model_validate(given)
    assert config.accelerator_type == "L4"
    for model in ("Qwen/Qwen3-0.6B", "a.b-c"):
        named = LLMConfig.model_validate({**given, "model_loading_config": {"model_id": model, "model_source": "x"}})
        assert _get_deployment_name(named) == deployment_name(model)


def test_the_text_is_the_config() -> None:
    plan = plan_of(yaml.safe_load(SAMPLES[0].read_text()))
    assert yaml.safe_load(serve_config_text(plan)) == serve_config(plan)


def test_rays_autoscaler_sees_the_accelerator_of_a_group() -> None:
    """A group grows only for what Ray's autoscaler believes that its Pods have."""
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    cluster = desired_of(yaml.safe_load(QUICKSTART.read_text())).service["spec"]["rayClusterConfig"]
    document = {"metadata": {"name": "x", "namespace": "y"}, "spec": cluster}
    types = _derive_autoscaling_config_from_ray_cr(document)["available_node_types"]
    assert types["l4-x1"]["resources"] == {"CPU": 4, "GPU": 1, "accelerator_type:L4": 1, "memory": 24 * 1024**3}
