"""What trafficSplit costs over asking the variant, whether weights hold, and what a change of weights under load loses.

    python hack/bench/traffic_split.py [-o json] [--requests 20000] [--seconds 5]

All in one run on this machine's Ray, each pair in turn. Everything, the clients too, shares the machine's cores; the
ratios are what counts.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from http_load import Target, compared, paired

from support.child_process import free_port
from support.local.runner import Runner, as_in_pods, rendered, running

SMALL = {"cpus": "100m"}
CLIENTS = 16
PATHS = {
    "a small answer": "status/200",
    "64 server-sent events": "events?count=64&gap=0",
    "1 MiB": "big?blocks=16",
}
WEIGHTS = (50, 0, 100, 5)


def apps(candidate: int, port: int) -> list[dict[str, Any]]:
    """The applications of two variants and a split that gives the second so many per cent."""
    weights = {"a": 100 - candidate, "b": candidate}
    variants = [{"name": name, "app": name, "weight": weight} for name, weight in weights.items()]
    split = {"trafficSplit": {"variants": variants, "resources": SMALL}}
    applications = rendered(*map(_variant, weights), {"name": "front", **split})
    applications[-1]["args"] = {"port": port}
    return applications


def _variant(name: str) -> dict[str, Any]:
    return {"name": name, "custom": {"importPath": "split_variant:build", "args": {"name": name}}}


async def who_answers(url: str, requests: int) -> Counter[str]:
    """Ask so many times, with all clients at once; return how often each variant answered, or what went wrong."""
    counts: Counter[str] = Counter()
    left = iter(range(requests))

    async def ask(session: aiohttp.ClientSession) -> None:
        for _ in left:
            counts[await _one(session, url)] += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session) for _ in range(CLIENTS)))
    return counts


async def under_change(runner: Runner, seconds: float) -> Counter[str]:
    """Ask with all clients while the weights change, once in so many seconds; return as `who_answers`."""
    counts: Counter[str] = Counter()
    url = f"{runner.url}/front/events?count=8&gap=0.01"
    over = asyncio.Event()

    async def ask(session: aiohttp.ClientSession) -> None:
        while not over.is_set():
            counts[await _one(session, url)] += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(ask(session))
        for weight in WEIGHTS:
            await asyncio.to_thread(runner.put, *apps(weight, runner.port))
            await asyncio.sleep(seconds)
        over.set()
    return counts


async def _one(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with session.get(url) as answer:
            body = await answer.read()
            whole = answer.status == 200 and body.count(b"data:") in (0, 8)
            return answer.headers["X-Variant"] if whole else f"lost: {answer.status}"
    except aiohttp.ClientError as error:
        return f"lost: {type(error).__name__}"


async def measure(runner: Runner, requests: int, seconds: float) -> dict[str, Any]:
    """All there is to measure."""
    speed = {}
    for name, path in PATHS.items():
        print(f"measuring {name}", file=sys.stderr)
        pair = [Target(app, f"{runner.url}/{app}/{path}") for app in ("front", "a")]
        speed[name] = await paired(pair, rounds=3, count=100, clients=CLIENTS, seconds=seconds)
    print(f"{requests} requests", file=sys.stderr)
    shares = await who_answers(f"{runner.url}/front/status/200", requests)
    print("changing the weights under load", file=sys.stderr)
    return {"speed": speed, "shares": shares, "changes": await under_change(runner, seconds)}


def table(found: dict[str, Any]) -> str:
    """What was found, as Markdown."""
    rows = [
        "| through the split / of the variant itself | p50 ms | ratio | answers/s, 16 clients | ratio |",
        "|---|---|---|---|---|",
    ]
    for name, pair in found["speed"].items():
        rows.append(f"| {name} | {compared(pair['front'], pair['a'])} |")
    shares, changes = found["shares"], found["changes"]
    total = sum(shares.values())
    lost = {name: count for name, count in (shares + changes).items() if name.startswith("lost")}
    rows += [
        "",
        f"weights 95 and 5: {shares['a'] / total:.2%} and {shares['b'] / total:.2%} of {total} requests",
        f"{len(WEIGHTS)} changes of weights under load: {sum(changes.values())} requests; lost: {lost or 'none'}",
    ]
    return "\n".join(rows)


def main() -> None:
    """Run it all and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", choices=("table", "json"), default="table")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=5, help="of load a round, and between two changes of weights")
    options = parser.parse_args()
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="llmp-", dir="/tmp") as folder,
        running(Path(folder), *apps(5, port), port=port, env=as_in_pods()) as runner,
    ):
        found = asyncio.run(measure(runner, options.requests, options.seconds))
    print(json.dumps(found, indent=2) if options.o == "json" else table(found))


if __name__ == "__main__":
    main()
