"""The files of which a tiny model consists."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

Shapes = Mapping[str, tuple[int, ...]]

VOCABULARY = 512
_CORPUS = [
    "user: Which model answers this question? assistant: A tiny one, with random weights.",
    "system: You serve many models on one machine, and every answer is noise.",
    "The quick brown fox jumps over the lazy dog while the replicas start and the requests wait.",
]


def write_model(folder: Path, config: dict[str, object], shapes: Shapes) -> Path:
    """Write the configuration and random weights of these shapes. Norms are ones and biases noughts, as in training."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"vocab_size": VOCABULARY, "dtype": "float32", **config})
    random = np.random.default_rng(seed=0)
    weights = {name: _weight(name, shape, random) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_tokenizer(
    folder: Path, special: list[str], settings: dict[str, object], *, around: tuple[str, str] | None = None
) -> None:
    """Train a byte-level tokenizer and write it.

    Args:
        folder: Where to.
        special: The special tokens; the first has id 0.
        settings: More of `tokenizer_config.json`.
        around: The tokens to put before and after each text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    if around:
        pairs = [(token, tokenizer.token_to_id(token)) for token in around]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{around[0]} $A {around[1]}", special_tokens=pairs
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **settings})


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write an object, readable."""
    path.write_text(json.dumps(content, indent=2))


def _weight(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if name.endswith("bias"):
        return np.zeros(shape, dtype=np.float32)
    if "norm" in name.lower():
        return np.ones(shape, dtype=np.float32)
    return random.normal(scale=0.02, size=shape).astype(np.float32)
