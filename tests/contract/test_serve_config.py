"""What we render is what Ray takes: its own schema, its own models, importable paths."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.plan.openai import deployment_name
from llmpipeline.plan.plan import make_plan
from llmpipeline.render.serve_config import serve_config, serve_config_text

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "manifests" / "samples").glob("*.yaml"))


def config_of(sample: Path) -> dict[str, Any]:
    parsed = parse(yaml.safe_load(sample.read_text()))
    assert isinstance(parsed, LLMPipeline), parsed
    return serve_config(make_plan(parsed))


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
        assert callable(getattr(importlib.import_module(module), name))
        if module == "llmpipeline_serve.hello":
            from llmpipeline_serve.args import HelloArgs

            HelloArgs.model_validate(app["args"])


def test_ray_takes_the_llm_config() -> None:
    from ray.llm._internal.serve.core.server.builder import _get_deployment_name
    from ray.serve.llm import LLMConfig

    (app,) = [app for app in config_of(SAMPLES[-1])["applications"] if app["name"] == "chat"]
    (given,) = app["args"]["llm_configs"]
    config = LLMConfig.model_validate(given)
    assert config.accelerator_type == "L4"
    for model in ("Qwen/Qwen3-0.6B", "a.b-c"):
        named = LLMConfig.model_validate({**given, "model_loading_config": {"model_id": model, "model_source": "x"}})
        assert _get_deployment_name(named) == deployment_name(model)


def test_the_text_is_the_config() -> None:
    parsed = parse(yaml.safe_load(SAMPLES[0].read_text()))
    assert isinstance(parsed, LLMPipeline)
    plan = make_plan(parsed)
    assert yaml.safe_load(serve_config_text(plan)) == serve_config(plan)


def test_rays_autoscaler_sees_the_accelerator_of_a_group() -> None:
    """A group grows only for what Ray's autoscaler believes that its Pods have."""
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    from llmpipeline.render.rayservice import rayservice

    parsed = parse(yaml.safe_load(SAMPLES[-1].read_text()))
    assert isinstance(parsed, LLMPipeline)
    cluster = rayservice(parsed, make_plan(parsed))["spec"]["rayClusterConfig"]
    document = {"metadata": {"name": "x", "namespace": "y"}, "spec": cluster}
    types = _derive_autoscaling_config_from_ray_cr(document)["available_node_types"]
    assert types["l4-x1"]["resources"] == {"CPU": 4, "GPU": 1, "accelerator_type:L4": 1, "memory": 24 * 1024**3}
