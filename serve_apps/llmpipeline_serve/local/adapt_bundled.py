"""What must change in the arguments of the bundled apps before one machine can run them. Pure."""

from collections.abc import Callable
from typing import Final

from llmpipeline_serve.local.adapt_engine import Config, Machine, cpu_engine, tiny_engine
from llmpipeline_serve.local.tiny import CLASSIFY, EMBED, GENERATE, SUMMARIZE

GENERATE_APP: Final = "llmpipeline_serve.generate:build"
BATCH_APP: Final = "llmpipeline_serve.batch:build"
GRAPH_APP: Final = "llmpipeline_serve.graph.app:build"
_TINY_ANSWER_TOKENS: Final = 32
# In arguments, work has the name of the kind of model that does it.
_KINDS: Final = (CLASSIFY, EMBED, SUMMARIZE, GENERATE)


def bundled_args(import_path: str, args: Config, where: str, machine: Machine, changes: list[str]) -> Config:
    """The arguments of a bundled app as this machine can run it; those of any other app as they are."""
    adapters: dict[str, Callable[[Config, str, Machine, list[str]], Config]] = {
        GENERATE_APP: _engine,
        BATCH_APP: _work,
        GRAPH_APP: _graph,
        "llmpipeline_serve.traffic_split.app:build": _traffic_split,
    }
    adapter = adapters.get(import_path)
    return adapter(args, where, machine, changes) if adapter else args


def has_engine(app: Config) -> bool:
    """Whether an app runs a vLLM engine of its own, rather than through Ray Serve LLM."""
    nodes = app.get("args", {}).get("nodes", [])
    return app.get("import_path") == GENERATE_APP or any("generate" in node for node in nodes)


def _traffic_split(args: Config, _where: str, machine: Machine, _changes: list[str]) -> Config:
    return {**args, "port": machine.port}


def _graph(args: Config, where: str, machine: Machine, changes: list[str]) -> Config:
    return {
        **args,
        "nodes": [_work(node, f"{where}: node {node['name']}", machine, changes) for node in args.get("nodes", [])],
    }


def _work(args: Config, where: str, machine: Machine, changes: list[str]) -> Config:
    """The work of a batch app or of a node: each of its kinds that has a model."""
    adapted = dict(args)
    for kind in _KINDS:
        if not (work := args.get(kind)):
            continue
        if kind == GENERATE:
            adapted[kind] = _engine(work, where, machine, changes)
        else:
            adapted[kind] = {**work, "model": _model(work["model"], kind, where, machine, changes)}
    if (preprocess := args.get("preprocess")) and preprocess.get("tokenizer") and machine.tiny_models:
        adapted["preprocess"] = {**preprocess, "tokenizer": {"path": machine.tiny_models[GENERATE]}}
        changes.append(f"{where}: the tokenizer of a tiny model instead of {_told(preprocess['tokenizer'])}")
    return adapted


def _engine(args: Config, where: str, machine: Machine, changes: list[str]) -> Config:
    engine = args.get("engine", {})
    sampling = args.get("sampling", {})
    model = _model(args["model"], GENERATE, where, machine, changes)
    if machine.tiny_models:
        engine = tiny_engine(engine, where, changes)
        sampling = {**sampling, "max_tokens": min(sampling.get("max_tokens", 256), _TINY_ANSWER_TOKENS)}
    if not machine.gpus:
        changes.append(f"{where}: on the CPU, with nothing compiled (enforce_eager)")
        engine = cpu_engine(engine, where, changes)
    adapted = {**args, "model": model, "engine": engine}
    return adapted | {"sampling": sampling} if sampling else adapted


def _model(model: Config, kind: str, where: str, machine: Machine, changes: list[str]) -> Config:
    if not machine.tiny_models:
        return model
    changes.append(f"{where}: a tiny random model made here instead of {_told(model)}; its answers are noise")
    return {"path": machine.tiny_models[kind]}


def _told(model: Config) -> str:
    return str(model.get("repository") or model.get("path") or model.get("uri"))
