"""Which tiny model stands in for which."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from llmpipeline_serve.local.tiny import CLASSIFY, EMBED, GENERATE, SUMMARIZE
from llmpipeline_serve.local.tiny.bert import make_tiny_classifier, make_tiny_embedder
from llmpipeline_serve.local.tiny.llama import make_tiny_llama
from llmpipeline_serve.local.tiny.t5 import make_tiny_summarizer

_MAKERS: Final[dict[str, Callable[[Path], Path]]] = {
    GENERATE: make_tiny_llama,
    CLASSIFY: make_tiny_classifier,
    EMBED: make_tiny_embedder,
    SUMMARIZE: make_tiny_summarizer,
}


def make_tiny_models(folder: Path) -> dict[str, str]:
    """Write one model of each kind below `folder`; return their folders by kind. Takes less than a second."""
    return {kind: str(make(folder / f"tiny-{kind}")) for kind, make in _MAKERS.items()}
