"""The retrieval step of rag.yaml: the documents whose vectors are closest to the question's."""

import asyncio
from typing import Any

from ray import serve


class Search:
    """Keeps vectors in memory. A real store is an `http` node, or a client that is made in `__init__`."""

    def __init__(self) -> None:
        """Ray makes one instance in each replica."""
        self._vectors: dict[str, list[float]] = {}

    async def __call__(
        self, question: list[float], *, documents: list[str], embedder: str, limit: int = 4
    ) -> dict[str, Any]:
        """The passages for a question, given as its vector.

        Args:
            question: The node's `input`.
            documents: What is searched. Those that are new are embedded once.
            embedder: The node of this graph that embeds: vectors are alike only if one model makes all of them.
            limit: The most passages.
        """
        embed = serve.get_deployment_handle(embedder)
        unknown = [text for text in documents if text not in self._vectors]
        answers = await asyncio.gather(*(embed.remote(text) for text in unknown))
        self._vectors |= {text: answer["embedding"] for text, answer in zip(unknown, answers, strict=True)}

        def likeness(text: str) -> float:
            # The vectors have length 1, so this is the cosine.
            return sum(a * b for a, b in zip(question, self._vectors[text], strict=True))

        return {"passages": sorted(documents, key=likeness, reverse=True)[:limit]}
