"""What the bundled apps cost over hand-written ones, and what batches and graphs gain.

    python hack/bench/apps.py [-o json] [--seconds 5]

All in one run on this machine's Ray, each pair in turn: `hello` and `batch` over Ray Serve apps that do that by hand;
the sample graph over its slower branch alone; a Transformers model with batches over the same without. Everything, the
clients too, shares the machine's cores; the ratios are what counts.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from http_load import Target, compared, paired

from support.local.runner import as_in_pods, rendered, running

TEXT = "The replicas of the first deployment came up within a minute, and every request since was answered. " * 3
# Of a long text a CPU makes no more in a batch than one by one: arithmetic is all it does then.
SHORT = "What a lovely day it is"
HUB = {"huggingFace": {"repository": "nobody/nothing"}}
SMALL = {"resources": {"cpus": "100m"}}
MANY = {"maxOngoingRequests": 64, **SMALL}


@dataclass(frozen=True)
class Comparison:
    """One of ours, what it is measured against, and what is hoped for."""

    ours: str
    theirs: str
    goal: str


COMPARISONS = (
    Comparison("hello", "bare hello", "at most 0.5 ms more at p50, at least 0.9 of the throughput"),
    Comparison("batch", "bare batch", "at most 0.5 ms more at p50, at least 0.9 of the throughput"),
    Comparison("graph", "its slower branch", "at most 1.15 times as long at p50"),
    Comparison("classify in batches", "classify one by one", "at least 3 times the throughput with 32 clients"),
)


def apps() -> list[dict[str, Any]]:
    """The apps of the run, as a pipeline has them."""
    nodes = [
        {"name": "clean", "preprocess": {}, **SMALL},
        {"name": "sentiment", "after": ["clean"], "classify": {"model": HUB}, **SMALL},
        {"name": "summary", "after": ["clean"], "summarize": {"model": HUB, "maxTokens": 32}, **SMALL},
    ]
    classify = {"classify": {"model": HUB}, **MANY}
    return [
        {"name": "hello", "hello": MANY},
        {"name": "bare-hello", "custom": {"importPath": "bare:hello", "deployments": [{"name": "BareHello", **MANY}]}},
        {"name": "batch", "batch": {"custom": {"importPath": "bare:same"}, **MANY}},
        {"name": "bare-batch", "custom": {"importPath": "bare:batch", "deployments": [{"name": "BareBatch", **MANY}]}},
        {"name": "graph", "graph": {"nodes": nodes, "ingress": SMALL}},
        {"name": "branch", "graph": {"nodes": [nodes[0], nodes[2]], "ingress": SMALL}},
        {"name": "batches", "batch": {**classify, "maxBatchSize": 32}},
        {"name": "singles", "batch": {**classify, "maxBatchSize": 1}},
    ]


def targets(url: str) -> list[Target]:
    """How each of them is asked, in the order of the comparisons."""
    text, short, item = {"text": TEXT}, {"text": SHORT}, {"input": 1}
    return [
        Target("hello", f"{url}/hello"),
        Target("bare hello", f"{url}/bare-hello"),
        Target("batch", f"{url}/batch", item),
        Target("bare batch", f"{url}/bare-batch", item),
        Target("graph", f"{url}/graph", text),
        Target("its slower branch", f"{url}/branch", text),
        Target("classify in batches", f"{url}/batches", short),
        Target("classify one by one", f"{url}/singles", short),
    ]


async def measure(url: str, seconds: float) -> dict[str, dict[str, float]]:
    """Measure pair by pair."""
    found: dict[str, dict[str, float]] = {}
    listed = targets(url)
    for pair in (listed[start : start + 2] for start in range(0, len(listed), 2)):
        print(f"measuring {pair[0].name} and {pair[1].name}", file=sys.stderr)
        found |= await paired(pair, rounds=3, count=200, clients=32, seconds=seconds)
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """The comparisons as rows of a Markdown table."""
    rows = ["| ours / theirs | p50 ms | ratio | answers/s, 32 clients | ratio | goal |", "|---|---|---|---|---|---|"]
    for pair in COMPARISONS:
        rows.append(f"| {pair.ours} / {pair.theirs} | {compared(found[pair.ours], found[pair.theirs])} | {pair.goal} |")
    return "\n".join(rows)


def main() -> None:
    """Run it all and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", choices=("table", "json"), default="table")
    parser.add_argument("--seconds", type=float, default=5, help="of load a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmp-", dir="/tmp") as folder:
        here, code = Path(folder), Path(__file__).parent
        with running(here, *rendered(*apps()), cpus=16, env=as_in_pods(), code=code) as runner:
            found = asyncio.run(measure(runner.url, options.seconds))
    print(json.dumps(found, indent=2) if options.o == "json" else table(found))


if __name__ == "__main__":
    main()
