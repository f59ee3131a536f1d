"""What must change in the arguments of a vLLM engine before one machine can run it. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Config = dict[str, Any]

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
    "runner",
    "seed",
    *_PARALLEL_SIZES,
})  # fmt: skip


class Machine(NamedTuple):
    """What the Serve config is adapted to."""

    port: int
    gpus: float
    haproxy: bool
    """Whether Serve's proxy here is HAProxy, as it is in a cluster."""
    tiny_models: Mapping[str, str] | None
    """The folders of the models that stand in for every model, by kind of work."""


def tiny_engine(given: Config, where: str, changes: list[str]) -> Config:
    """The arguments that a tiny model takes."""
    dropped = sorted(given.keys() - _TINY_ENGINE_ARGUMENTS - _GPU_ENGINE_ARGUMENTS - {"max_model_len", "dtype"})
    if dropped:
        changes.append(f"{where}: {', '.join(dropped)} left out, the tiny model has no use for it")
    length = min(given.get("max_model_len") or TINY_MAX_MODEL_LEN, TINY_MAX_MODEL_LEN)
    if length != given.get("max_model_len"):
        changes.append(f"{where}: max_model_len {length}, the most that the tiny model takes")
    kept = _TINY_ENGINE_ARGUMENTS | _GPU_ENGINE_ARGUMENTS
    engine = {key: value for key, value in given.items() if key in kept}
    return {**engine, "max_model_len": length, "dtype": "bfloat16"}


def cpu_engine(given: Config, where: str, changes: list[str]) -> Config:
    """The arguments of an engine without a GPU."""
    for key in _PARALLEL_SIZES:
        if given.get(key, 1) != 1:
            changes.append(f"{where}: {key} 1 instead of {given[key]}")
    dropped = sorted(given.keys() & _GPU_ENGINE_ARGUMENTS)
    if dropped:
        changes.append(f"{where}: {', '.join(dropped)} left out, only a GPU can use it")
    engine = {key: value for key, value in given.items() if key not in _GPU_ENGINE_ARGUMENTS}
    return {**engine, **{key: 1 for key in _PARALLEL_SIZES if key in given}, "enforce_eager": True}
