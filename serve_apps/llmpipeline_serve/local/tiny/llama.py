"""A causal model: it goes on with a text, and answers chats."""

from pathlib import Path

from llmpipeline_serve.local.adapt_engine import TINY_MOST_MODEL_LEN
from llmpipeline_serve.local.tiny.files import VOCABULARY, write_model, write_tokenizer

_HIDDEN = 256
_INTERMEDIATE = 512
_LAYERS = 2
# 256 / 4 gives heads of 64; vLLM's attention on the CPU refuses heads of 16.
_HEADS = 4
_BEGIN, _END = "<|begin|>", "<|end|>"
_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def make_tiny_llama(folder: Path, positions: int = TINY_MOST_MODEL_LEN) -> Path:
    """Write a Llama, its tokenizer and a chat template into `folder`, and return it. It takes `positions` tokens."""
    settings: dict[str, object] = {
        "bos_token": _BEGIN, "eos_token": _END, "model_max_length": positions, "chat_template": _CHAT_TEMPLATE,
    }  # fmt: skip
    write_tokenizer(folder, [_BEGIN, _END], settings)
    config: dict[str, object] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _HIDDEN,
        "intermediate_size": _INTERMEDIATE,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "max_position_embeddings": positions,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    return write_model(folder, config, _shapes())


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCABULARY, _HIDDEN),
        "model.norm.weight": (_HIDDEN,),
        "lm_head.weight": (VOCABULARY, _HIDDEN),
    }
    for layer in range(_LAYERS):
        prefix = f"model.layers.{layer}"
        shapes |= {f"{prefix}.self_attn.{name}_proj.weight": (_HIDDEN, _HIDDEN) for name in "qkvo"}
        shapes |= {f"{prefix}.mlp.{name}_proj.weight": (_INTERMEDIATE, _HIDDEN) for name in ("gate", "up")}
        shapes[f"{prefix}.mlp.down_proj.weight"] = (_HIDDEN, _INTERMEDIATE)
        shapes |= {f"{prefix}.{name}_layernorm.weight": (_HIDDEN,) for name in ("input", "post_attention")}
    return shapes
