"""An encoder: it classifies texts, or turns them into vectors."""

from pathlib import Path

from llmpipeline_serve.local.tiny.files import VOCABULARY, write_model, write_tokenizer

_HIDDEN = 64
_INTERMEDIATE = 128
_LAYERS = 2
_HEADS = 2
_POSITIONS = 512
_PAD, _FIRST, _LAST = "[PAD]", "[CLS]", "[SEP]"
_LABELS = ("NEGATIVE", "POSITIVE")


def make_tiny_classifier(folder: Path) -> Path:
    """Write a BERT that labels texts NEGATIVE or POSITIVE, and its tokenizer, into `folder`; return it."""
    labels = {"id2label": dict(enumerate(_LABELS)), "label2id": {label: index for index, label in enumerate(_LABELS)}}
    shapes = {f"bert.{name}": shape for name, shape in _shapes().items()}
    shapes |= {"classifier.weight": (len(_LABELS), _HIDDEN), "classifier.bias": (len(_LABELS),)}
    return _write(folder, {"architectures": ["BertForSequenceClassification"], **labels}, shapes)


def make_tiny_embedder(folder: Path) -> Path:
    """Write a BERT that turns texts into vectors of 64 numbers, and its tokenizer, into `folder`; return it."""
    return _write(folder, {"architectures": ["BertModel"]}, _shapes())


def _write(folder: Path, config: dict[str, object], shapes: dict[str, tuple[int, ...]]) -> Path:
    settings: dict[str, object] = {
        "pad_token": _PAD, "cls_token": _FIRST, "sep_token": _LAST, "model_max_length": _POSITIONS,
    }  # fmt: skip
    write_tokenizer(folder, [_PAD, _FIRST, _LAST], settings, around=(_FIRST, _LAST))
    common: dict[str, object] = {
        "model_type": "bert",
        "hidden_size": _HIDDEN,
        "intermediate_size": _INTERMEDIATE,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "max_position_embeddings": _POSITIONS,
        "type_vocab_size": 2,
        "pad_token_id": 0,
    }
    return write_model(folder, common | config, shapes)


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, _HIDDEN),
        "embeddings.position_embeddings.weight": (_POSITIONS, _HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, _HIDDEN),
        **_norm("embeddings"),
        **_linear("pooler.dense", _HIDDEN, _HIDDEN),
    }
    for layer in range(_LAYERS):
        prefix = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            shapes |= _linear(f"{prefix}.attention.self.{name}", _HIDDEN, _HIDDEN)
        shapes |= _linear(f"{prefix}.attention.output.dense", _HIDDEN, _HIDDEN) | _norm(f"{prefix}.attention.output")
        shapes |= _linear(f"{prefix}.intermediate.dense", _INTERMEDIATE, _HIDDEN)
        shapes |= _linear(f"{prefix}.output.dense", _HIDDEN, _INTERMEDIATE) | _norm(f"{prefix}.output")
    return shapes


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.LayerNorm.weight": (_HIDDEN,), f"{name}.LayerNorm.bias": (_HIDDEN,)}
