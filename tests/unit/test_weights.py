"""A model that cannot fit is said to, by its name; what may fit, or cannot be known, is not."""

from typing import Any

import pytest

from support import repository
from support.pipelines import Document, desired_of, model, openai, pipeline, sample

CANNOT = "cannot fit"


def notes(document: Document) -> list[str]:
    return [note for note in desired_of(document).plan.notes if CANNOT in note]


def of(name: str, **fields: Any) -> list[str]:
    return notes(pipeline(openai(model(source={"uri": name}, **fields))))


def on(kind: str, **fields: Any) -> Document:
    return {"accelerator": {"type": kind, **fields}}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("hf://meta-llama/Llama-3.3-70B-Instruct", on("L4")),
        ("hf://meta-llama/Llama-3.3-70B-Instruct", {**on("L40S"), "tensorParallelSize": 2}),
        ("hf://Qwen/Qwen3-14B", on("L4")),
        ("hf://Qwen/Qwen3-30B-A3B", on("L40S")),
        ("hf://mistralai/Mixtral-8x7B-Instruct-v0.1", on("A100")),
        ("hf://Qwen/Qwen3-8B", {**on("A100", partition="1g.10gb")}),
        ("hf://Qwen/Qwen3-8B", {**on("L4"), "engine": {"dtype": "float32"}}),
        ("hf://neuralmagic/Llama-70B-FP8", on("L40S")),
        ("pvc://models/llama-70b", on("L4")),
        ("s3://bucket/llama-70b/", on("L4")),
    ],
)
def test_what_cannot_fit(name: str, fields: Document) -> None:
    (note,) = of(name, **fields)
    assert note.startswith("spec.apps[0].openai.models[0] cannot fit")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("hf://meta-llama/Llama-3.3-70B-Instruct", {**on("H100"), "tensorParallelSize": 2}),
        ("hf://meta-llama/Llama-3.3-70B-Instruct", {**on("L40S"), "tensorParallelSize": 2, "pipelineParallelSize": 2}),
        ("hf://Qwen/Qwen3-8B", on("L4")),
        ("hf://Qwen/Qwen3-30B-A3B", on("A100")),
        ("hf://openai/gpt-oss-120b", on("H100")),
        ("hf://hugging-quants/Llama-70B-AWQ-INT4", on("L40S")),
        ("hf://a/llama-70b", {**on("L40S"), "engine": {"extra": {"quantization": "gptq_marlin"}}}),
        ("hf://a/llama-70b", {**on("L4"), "engine": {"extra": {"quantization": "of-mine"}}}),
        ("hf://a/llama-70b", {**on("L4"), "engine": {"extra": {"cpu_offload_gb": 200}}}),
        ("hf://deepseek-ai/DeepSeek-V3", on("L4")),
        ("hf://a/b7b-v2", on("T4")),
        ("hf://meta-llama/Llama-3.3-70B-Instruct", {"accelerator": None}),
    ],
)
def test_what_may_fit(name: str, fields: Document) -> None:
    assert of(name, **fields) == []


def test_the_sentence_has_the_arithmetic() -> None:
    large = model("large", source={"uri": "hf://a/llama-70B"}, accelerator={"type": "L4"}, tensorParallelSize=2)
    other = {**large, "name": "other"}
    (note,) = notes(pipeline(openai(large, other)))
    assert note == (
        "spec.apps[0].openai.models[0] cannot fit: by its name the model has 70 billion parameters, which is 140 GB at "
        "2 bytes each, and 2 L4 have 48 GB. Raise tensorParallelSize, or take a GPU with more memory or a quantized "
        "model. So it is with 1 more."
    )


@pytest.mark.parametrize("path", sorted(repository.SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_samples_fit(path: Any) -> None:
    document = sample(path.stem)
    if document.get("kind") == "LLMPipeline":
        assert notes(document) == []
