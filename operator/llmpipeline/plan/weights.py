"""Weights that cannot fit: how many bytes a model has by its name, against the memory of its GPUs.

Nothing is downloaded and no file is read, so a model whose name has no number of parameters is not judged. Only the
weights are counted, and of each GPU the variant with most memory, so that what is reported cannot work.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmpipeline.api.accelerator import Accelerator
from llmpipeline.api.base import parts
from llmpipeline.api.generate import EngineModel
from llmpipeline.api.model_source import Engine, ModelSource
from llmpipeline.api.openai import OpenAIModel
from llmpipeline.api.pipeline import Spec
from llmpipeline.plan.capacity.accelerators import accelerator_of
from llmpipeline.problems import Path, format_path

# Like 8B, 0.6b or 8x7B; not A3B, which are the parameters that work on one token.
_PARAMETERS: Final = re.compile(r"(?<![A-Za-z0-9.])(?:([0-9]{1,3})x)?([0-9]{1,4}(?:\.[0-9]{1,3})?)[Bb](?![A-Za-z0-9])")
# Experts share their attention: Mixtral 8x7B has 47 billion parameters, and 8x22B has 141.
_OF_EXPERTS: Final = 0.8
_FOUR_BITS: Final = re.compile(
    r"awq|gptq|int4|w4a|4-?bit|bnb|bitsandbytes|nf4|fp4|gguf|q[2-6]_|gpt-oss|marlin", re.IGNORECASE
)
_EIGHT_BITS: Final = re.compile(r"fp8|int8|w8a|8-?bit|q8_|deepspeedfp", re.IGNORECASE)
# Weights that are kept elsewhere, or made small in a way that no name says.
_ELSEWHERE: Final = ("cpu_offload_gb", "hf_overrides", "load_format")
_BYTES: Final = {"float32": 4.0}


def too_large(spec: Spec) -> Iterator[str]:
    """A sentence about the first model whose weights alone need more memory than its GPUs have."""
    found = [sentence for model in _models(spec) if (sentence := _sentence(*model))]
    if found:
        more = f" So it is with {len(found) - 1} more." if len(found) > 1 else ""
        yield f"{found[0]}{more}"


def _sentence(place: Path, model: OpenAIModel | EngineModel, source: ModelSource, gpus: int) -> str:
    """What is too large; empty if it fits, or if nobody can know."""
    billions, memory, each = _billions(source), _memory(model.accelerator), _bytes_of_one(source, model.engine)
    if billions is None or memory is None or each is None or billions * each <= memory * gpus:
        return ""
    kind = model.accelerator.type if model.accelerator else ""
    return (
        f"{format_path(place)} cannot fit: by its name the model has {billions:g} billion parameters, which is "
        f"{billions * each:.0f} GB at {each:g} bytes each, and {gpus} {kind} {'has' if gpus == 1 else 'have'} "
        f"{memory * gpus:g} GB. Raise tensorParallelSize, or take a GPU with more memory or a quantized model."
    )


def _models(spec: Spec) -> Iterator[tuple[Path, OpenAIModel | EngineModel, ModelSource, int]]:
    """Every model that an engine runs, with its place, its source and the number of its GPUs."""
    for chat in parts(spec, OpenAIModel, ("spec",)):
        gpus = chat.value.tensor_parallel_size * chat.value.pipeline_parallel_size
        yield chat.at, chat.value, chat.value.source, gpus
    for engine in parts(spec, EngineModel, ("spec",)):
        yield engine.at, engine.value, engine.value.model, engine.value.tensor_parallel_size


def _name(source: ModelSource) -> str:
    where = source.hub.repository if source.hub else source.folder or source.store or ""
    return where.rstrip("/").rsplit("/", 1)[-1]


def _billions(source: ModelSource) -> float | None:
    found = _PARAMETERS.search(_name(source))
    if not found:
        return None
    return float(found[2]) * (int(found[1]) * _OF_EXPERTS if found[1] else 1)


def _memory(accelerator: Accelerator | None) -> float | None:
    if accelerator and accelerator.partition:
        return float(accelerator.partition.rsplit(".", 1)[-1].removesuffix("gb"))
    return accelerator_of(accelerator).facts.gigabytes if accelerator else None


def _bytes_of_one(source: ModelSource, engine: Engine | None) -> float | None:
    """Bytes of one parameter; None if the engine is given what nobody can judge."""
    extra: Mapping[str, Any] = (engine.extra or {}) if engine else {}
    if any(name in extra for name in _ELSEWHERE):
        return None
    said = f"{_name(source)} {extra.get('quantization') or ''}"
    if _FOUR_BITS.search(said):
        return 0.5
    if _EIGHT_BITS.search(said):
        return 1.0
    if extra.get("quantization"):
        return None
    return _BYTES.get(engine.dtype or "" if engine else "", 2.0)
