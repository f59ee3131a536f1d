"""A sequence-to-sequence model: it makes another text of a text."""

from pathlib import Path

from llmpipeline_serve.local.tiny.files import VOCABULARY, write_json, write_model, write_tokenizer

_HIDDEN = 64
_INTERMEDIATE = 128
_LAYERS = 2
_HEADS = 2
_HEAD = 32
_BUCKETS = 32
_POSITIONS = 512
_PAD, _END = "<pad>", "</s>"


def make_tiny_summarizer(folder: Path) -> Path:
    """Write a T5 and its tokenizer into `folder`, and return it."""
    settings: dict[str, object] = {"pad_token": _PAD, "eos_token": _END, "model_max_length": _POSITIONS}
    write_tokenizer(folder, [_PAD, _END], settings)
    write_json(folder / "generation_config.json", {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0})
    config: dict[str, object] = {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "d_model": _HIDDEN,
        "d_ff": _INTERMEDIATE,
        "d_kv": _HEAD,
        "num_layers": _LAYERS,
        "num_decoder_layers": _LAYERS,
        "num_heads": _HEADS,
        "relative_attention_num_buckets": _BUCKETS,
        "feed_forward_proj": "relu",
        "is_encoder_decoder": True,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }
    return write_model(
        folder, config, {"shared.weight": (VOCABULARY, _HIDDEN), **_stack("encoder"), **_stack("decoder")}
    )


def _stack(name: str) -> dict[str, tuple[int, ...]]:
    attentions = ["SelfAttention"] + (["EncDecAttention"] if name == "decoder" else [])
    shapes: dict[str, tuple[int, ...]] = {f"{name}.final_layer_norm.weight": (_HIDDEN,)}
    for block in range(_LAYERS):
        for index, attention in enumerate(attentions):
            layer = f"{name}.block.{block}.layer.{index}"
            shapes |= {f"{layer}.{attention}.{part}.weight": (_HEADS * _HEAD, _HIDDEN) for part in "qkv"}
            shapes |= {
                f"{layer}.{attention}.o.weight": (_HIDDEN, _HEADS * _HEAD),
                f"{layer}.layer_norm.weight": (_HIDDEN,),
            }
        layer = f"{name}.block.{block}.layer.{len(attentions)}"
        shapes |= {
            f"{layer}.DenseReluDense.wi.weight": (_INTERMEDIATE, _HIDDEN),
            f"{layer}.DenseReluDense.wo.weight": (_HIDDEN, _INTERMEDIATE),
            f"{layer}.layer_norm.weight": (_HIDDEN,),
        }
    bias = f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    return shapes | {bias: (_BUCKETS, _HEADS)}
