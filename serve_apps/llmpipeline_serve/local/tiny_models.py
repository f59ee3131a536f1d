"""Makes a model small enough to load anywhere in seconds: random weights, and a tokenizer trained on the spot.

Nothing is downloaded, and neither torch nor transformers is imported, which would take longer than all the rest.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

_VOCABULARY = 512
_HIDDEN = 256
_INTERMEDIATE = 512
_LAYERS = 2
# 256 / 4 gives heads of 64; vLLM's attention on the CPU refuses heads of 16.
_HEADS = 4
_POSITIONS = 256
_BEGIN, _END = "<|begin|>", "<|end|>"
_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
_CORPUS = [
    "user: Which model answers this question? assistant: A tiny one, with random weights.",
    "system: You serve many models on one machine, and every answer is noise.",
    "The quick brown fox jumps over the lazy dog while the replicas start and the requests wait.",
]


def make_tiny_llama(folder: Path) -> Path:
    """Write a Llama with random weights, its tokenizer and a chat template into `folder`, and return it."""
    folder.mkdir(parents=True)
    _write_tokenizer(folder)
    _write_json(folder / "config.json", {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": _VOCABULARY,
        "hidden_size": _HIDDEN,
        "intermediate_size": _INTERMEDIATE,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "max_position_embeddings": _POSITIONS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "dtype": "float32",
    })  # fmt: skip
    save_file(_weights(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[_BEGIN, _END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": _BEGIN,
        "eos_token": _END,
        "model_max_length": _POSITIONS,
        "chat_template": _CHAT_TEMPLATE,
    })  # fmt: skip


def _weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed=0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.normal(scale=0.02, size=(rows, columns)).astype(np.float32)

    ones = np.ones(_HIDDEN, dtype=np.float32)
    weights = {
        "model.embed_tokens.weight": matrix(_VOCABULARY, _HIDDEN),
        "model.norm.weight": ones,
        "lm_head.weight": matrix(_VOCABULARY, _HIDDEN),
    }
    for layer in range(_LAYERS):
        prefix = f"model.layers.{layer}"
        weights |= {f"{prefix}.self_attn.{name}_proj.weight": matrix(_HIDDEN, _HIDDEN) for name in "qkvo"}
        weights |= {f"{prefix}.mlp.{name}_proj.weight": matrix(_INTERMEDIATE, _HIDDEN) for name in ("gate", "up")}
        weights[f"{prefix}.mlp.down_proj.weight"] = matrix(_HIDDEN, _INTERMEDIATE)
        weights |= {f"{prefix}.{name}_layernorm.weight": ones for name in ("input", "post_attention")}
    return weights


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2))
