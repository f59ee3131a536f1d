"""The engine arguments on the pages about features of models are vLLM's own, and so are the parsers that they name.

And Ray Serve LLM takes what is rendered of a GPU type that it does not know.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from llmpipeline import desired
from llmpipeline.classes.choose import Classes
from llmpipeline.desired import Desired
from support.pipelines import class_of, desired_of, model, openai, pipeline
from support.repository import DOCS

PAGES = ("tool-calling", "reasoning", "vision", "quantization", "speculative-decoding")
_FENCE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
_TABLE = re.compile(r"^\| (?!models ).* \| `(\w+)` \|$", re.MULTILINE)


def page(name: str) -> str:
    return (DOCS / "how-to" / f"{name}.md").read_text()


def engines(name: str) -> Iterator[dict[str, Any]]:
    """The arguments of each engine of a page's pipelines, as Ray Serve LLM gets them."""
    for block in _FENCE.findall(page(name)):
        config = yaml.safe_load(desired_of(yaml.safe_load(block)).service["spec"]["serveConfigV2"])
        for app in config["applications"]:
            yield from (model["engine_kwargs"] for model in app["args"]["llm_configs"])


@pytest.mark.parametrize("name", PAGES)
def test_vllm_knows_the_arguments(name: str) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import FrontendArgs

    known = {field.name for kind in (AsyncEngineArgs, FrontendArgs) for field in dataclasses.fields(kind)}
    given = [argument for engine in engines(name) for argument in engine]
    assert given
    assert set(given) - known == set()


def test_vllm_knows_the_parsers_of_tool_calls() -> None:
    from vllm.tool_parsers import ToolParserManager

    parsers = _TABLE.findall(page("tool-calling"))
    assert len(parsers) > 3
    used = [engine["tool_call_parser"] for engine in engines("tool-calling")]
    assert all(ToolParserManager.get_tool_parser(parser) for parser in (*parsers, *used))


def test_vllm_knows_the_parsers_of_thoughts() -> None:
    from vllm.reasoning import ReasoningParserManager

    parsers = _TABLE.findall(page("reasoning"))
    assert len(parsers) > 3
    used = [engine["reasoning_parser"] for engine in engines("reasoning")]
    assert all(ReasoningParserManager.get_reasoning_parser(parser) for parser in (*parsers, *used))


def test_a_gpu_type_that_ray_does_not_know() -> None:
    from ray.serve.llm import LLMConfig

    gpu = {"name": "X9000", "rayName": "Nobody-X9000", "nodeLabels": {"nvidia.com/gpu.product": ["X9000"]}}
    wanted = pipeline(openai(model("a", accelerator={"type": "X9000"})))
    made = desired.compile(wanted, classes=Classes((class_of(gpuTypes=[gpu]),)))
    assert isinstance(made, Desired)
    (config,) = yaml.safe_load(made.service["spec"]["serveConfigV2"])["applications"][0]["args"]["llm_configs"]
    parsed = LLMConfig.model_validate(config)
    assert (parsed.accelerator_type, parsed.accelerator_config.kind) == (None, "gpu")
    with pytest.raises(ValueError, match="Unsupported accelerator type"):
        LLMConfig.model_validate({**config, "accelerator_type": "Nobody-X9000"})
