"""What must change in the arguments and settings of the bundled apps before one machine can run them. Pure.

The arguments are walked part by part: an app that is made of known parts, such as a model in an engine, needs nothing
here.
"""

from typing import Any, Final

from llmpipeline_serve.contract.base import AppArgs
from llmpipeline_serve.contract.generate import GenerateArgs, GenerateSettings
from llmpipeline_serve.contract.graph import GenerateNodeSettings, NodeArgs, PreprocessArgs
from llmpipeline_serve.contract.models import EngineArgs, ModelArgs
from llmpipeline_serve.contract.texts import TextModelArgs
from llmpipeline_serve.contract.traffic_split import SplitArgs
from llmpipeline_serve.local.adapt_engine import (
    TINY_MAX_MODEL_LEN,
    TINY_MOST_MODEL_LEN,
    AdaptedEngine,
    cpu_engine,
    tiny_engine,
)
from llmpipeline_serve.local.machine import Machine
from llmpipeline_serve.local.tiny import GENERATE

_TINY_ANSWER_TOKENS: Final = 32


class Adaptation:
    """The way of one app's arguments to this machine; `changes` says what differs, a sentence each."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.changes: list[str] = []

    def adapted(self, args: AppArgs, where: str) -> AppArgs:
        """The arguments or settings, or a part of them, as this machine runs them; `where` is how messages name it."""
        changed: dict[str, Any] = {}
        for name in args.model_fields_set:
            value = getattr(args, name)
            if isinstance(value, AppArgs):
                changed[name] = self.adapted(value, where)
            elif isinstance(value, tuple) and value and isinstance(value[0], NodeArgs):
                changed[name] = tuple(self.adapted(node, f"{where}: node {node.name}") for node in value)
        args = args.model_copy(update=changed)
        if isinstance(args, GenerateSettings | GenerateNodeSettings):
            return self._answers(args)
        if isinstance(args, SplitArgs):
            return args.model_copy(update={"port": self._machine.port})
        if isinstance(args, EngineArgs):
            return self._engine(args, where)
        if isinstance(args, TextModelArgs):
            return args.model_copy(update={"model": self._model(args.model, args.task, where)})
        if isinstance(args, PreprocessArgs) and args.tokenizer and self._machine.tiny_models:
            self._note(where, f"the tokenizer of a tiny model instead of {args.tokenizer}")
            return args.model_copy(update={"tokenizer": ModelArgs(path=self._machine.tiny_models[GENERATE])})
        return args

    def _engine(self, args: EngineArgs, where: str) -> EngineArgs:
        changed: dict[str, Any] = {"model": self._model(args.model, GENERATE, where), "engine": args.engine}
        if self._machine.tiny_models:
            most = TINY_MAX_MODEL_LEN if isinstance(args, GenerateArgs) else TINY_MOST_MODEL_LEN
            changed["engine"] = self._noted(tiny_engine(changed["engine"], most), where)
        if not self._machine.gpus:
            self._note(where, "on the CPU, with nothing compiled (enforce_eager)")
            changed["engine"] = self._noted(cpu_engine(changed["engine"]), where)
        return args.model_copy(update=changed)

    def _answers(self, settings: GenerateSettings | GenerateNodeSettings) -> AppArgs:
        """With answers no longer than a tiny model's need be."""
        if not self._machine.tiny_models:
            return settings
        most = min(settings.sampling.max_tokens, _TINY_ANSWER_TOKENS)
        return settings.model_copy(update={"sampling": settings.sampling.model_copy(update={"max_tokens": most})})

    def _model(self, model: ModelArgs, task: str, where: str) -> ModelArgs:
        if not self._machine.tiny_models:
            return model
        self._note(where, f"a tiny random model made here instead of {model}; its answers are noise")
        return ModelArgs(path=self._machine.tiny_models[task])

    def _noted(self, engine: AdaptedEngine, where: str) -> dict[str, Any]:
        for change in engine.changes:
            self._note(where, change)
        return engine.arguments

    def _note(self, where: str, change: str) -> None:
        self.changes.append(f"{where}: {change}")
