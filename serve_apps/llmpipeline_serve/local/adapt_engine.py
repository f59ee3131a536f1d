"""What must change in the arguments of a vLLM engine before one machine can run it. Pure."""

from typing import Any, NamedTuple

Config = dict[str, Any]

# What a tiny model is set to; in a graph its prompts hold what other nodes found, so there it may be more.
TINY_MAX_MODEL_LEN = 256
TINY_MOST_MODEL_LEN = 2048

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
# Whatever else is set (quantization, thoughts, adapters, rope scaling) is about the real model's weights or tokenizer.
_TINY_ENGINE_ARGUMENTS = frozenset({
    "enable_auto_tool_choice",
    "enable_chunked_prefill",
    "enable_prefix_caching",
    "enforce_eager",
    "max_num_batched_tokens",
    "max_num_seqs",
    "runner",
    "seed",
    "tool_call_parser",
    *_PARALLEL_SIZES,
})  # fmt: skip


class AdaptedEngine(NamedTuple):
    """The arguments of an engine for this machine, and what differs, each without where it is."""

    arguments: Config
    changes: list[str]


def tiny_engine(given: Config, most: int = TINY_MAX_MODEL_LEN) -> AdaptedEngine:
    """The arguments that a tiny model takes, which is given `most` tokens at most."""
    changes = []
    dropped = sorted(given.keys() - _TINY_ENGINE_ARGUMENTS - _GPU_ENGINE_ARGUMENTS - {"max_model_len", "dtype"})
    if dropped:
        changes.append(f"{', '.join(dropped)} left out, the tiny model has no use for it")
    length = min(given.get("max_model_len") or TINY_MAX_MODEL_LEN, most)
    if length != given.get("max_model_len"):
        changes.append(f"max_model_len {length}, the most that the tiny model takes")
    kept = _TINY_ENGINE_ARGUMENTS | _GPU_ENGINE_ARGUMENTS
    engine = {key: value for key, value in given.items() if key in kept}
    # In bfloat16 vLLM uses AMX where the CPU says that it has it, and some virtual machines say so and do not let it.
    return AdaptedEngine({**engine, "max_model_len": length, "dtype": "float32"}, changes)


def cpu_engine(given: Config) -> AdaptedEngine:
    """The arguments of an engine without a GPU."""
    changes = [f"{key} 1 instead of {given[key]}" for key in _PARALLEL_SIZES if given.get(key, 1) != 1]
    dropped = sorted(given.keys() & _GPU_ENGINE_ARGUMENTS)
    if dropped:
        changes.append(f"{', '.join(dropped)} left out, only a GPU can use it")
    engine = {key: value for key, value in given.items() if key not in _GPU_ENGINE_ARGUMENTS}
    arguments = {**engine, **{key: 1 for key in _PARALLEL_SIZES if key in given}, "enforce_eager": True}
    return AdaptedEngine(arguments, changes)
