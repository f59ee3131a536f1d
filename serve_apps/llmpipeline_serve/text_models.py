"""Models of Transformers that work on texts in batches: classify, embed, summarize."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoTokenizer

from llmpipeline_serve.batching import Work
from llmpipeline_serve.contract.base import AppArgs
from llmpipeline_serve.contract.models import ModelArgs
from llmpipeline_serve.contract.texts import (
    ClassifierArgs,
    EmbedderArgs,
    EmbedSettings,
    SummarizerArgs,
    SummarizeSettings,
    TextModelArgs,
)
from llmpipeline_serve.model_load import timed
from llmpipeline_serve.model_source import fetch

# What tokenizers say that know no bound.
_UNBOUNDED = 1_000_000


class TextModel:
    """A tokenizer and a model on the replica's device. Not safe for threads: call it from one at a time."""

    def __init__(self, source: ModelArgs, kind: Any) -> None:
        with timed("fetch", source):
            folder = fetch(source)
        # Ray has set this to the replica's CPUs; torch would else take all of the node's, once a replica.
        torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS") or 1)))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token or self.tokenizer.unk_token
        with timed("load", source):
            self.model = kind.from_pretrained(folder).to(self.device).eval()
        config = self.model.config
        bound = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
        self.most_tokens = min(self.tokenizer.model_max_length, bound or _UNBOUNDED, _UNBOUNDED)

    def work(self, settings: AppArgs | None) -> Work:
        """Its work by these settings, which must be those of its kind; one that has none takes any."""
        return partial(self, settings)

    def __call__(self, settings: Any, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return the fields of the result of each text."""
        raise NotImplementedError

    def tokens(self, texts: Sequence[str]) -> Any:
        """The texts as one padded batch; what is longer than the model takes is cut off."""
        batch = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.most_tokens, return_tensors="pt"
        )
        return batch.to(self.device)


class Classifier(TextModel):
    """A sequence classifier."""

    def __init__(self, args: ClassifierArgs) -> None:
        super().__init__(args.model, AutoModelForSequenceClassification)

    @torch.inference_mode()
    def __call__(self, _: object, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return `{"label", "score"}` for each text: the likeliest class and its probability."""
        scores = torch.softmax(self.model(**self.tokens(texts)).logits.float(), dim=-1)
        best = scores.max(dim=-1)
        labels = self.model.config.id2label
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [{"label": labels[index], "score": score} for index, score in pairs]


class Embedder(TextModel):
    """A text encoder."""

    def __init__(self, args: EmbedderArgs) -> None:
        super().__init__(args.model, AutoModel)

    @torch.inference_mode()
    def __call__(self, settings: EmbedSettings, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return `{"embedding"}` for each text: a vector of length 1."""
        batch = self.tokens(texts)
        hidden = self.model(**batch).last_hidden_state.float()
        if settings.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            mask = batch["attention_mask"].unsqueeze(-1)
            pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return [{"embedding": vector} for vector in torch.nn.functional.normalize(pooled, dim=-1).tolist()]


class Summarizer(TextModel):
    """A sequence-to-sequence model, by its `generate`: Transformers 5 has no summarization pipeline any more."""

    def __init__(self, args: SummarizerArgs) -> None:
        super().__init__(args.model, AutoModelForSeq2SeqLM)

    @torch.inference_mode()
    def __call__(self, settings: SummarizeSettings, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return `{"text", "summarized"}` for each text: its summary, or itself where it is short enough."""
        long = [index for index, text in enumerate(texts) if len(text.split()) >= settings.minimum_words]
        results = [{"text": text, "summarized": False} for text in texts]
        if long:
            batch = self.tokens([settings.prefix + texts[index] for index in long])
            written = self.model.generate(**batch, max_new_tokens=settings.max_tokens, num_beams=settings.beams)
            summaries = self.tokenizer.batch_decode(written, skip_special_tokens=True)
            for index, summary in zip(long, summaries, strict=True):
                results[index] = {"text": summary.strip(), "summarized": True}
        return results


def text_model(args: TextModelArgs) -> TextModel:
    """The model for this work."""
    models: dict[type[TextModelArgs], Callable[[Any], TextModel]] = {
        ClassifierArgs: Classifier,
        EmbedderArgs: Embedder,
        SummarizerArgs: Summarizer,
    }
    return models[type(args)](args)
