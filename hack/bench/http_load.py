"""HTTP requests to apps that run here, and how long they took."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import aiohttp


@dataclass(frozen=True)
class Target:
    """One way to ask: a name for the table, the address, and the JSON to POST; None asks with GET."""

    name: str
    url: str
    body: dict[str, Any] | None = None


async def latencies(session: aiohttp.ClientSession, target: Target, count: int) -> list[float]:
    """Ask one after the other; return the milliseconds of each."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        await _ask(session, target)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def throughput(session: aiohttp.ClientSession, target: Target, clients: int, seconds: float) -> float:
    """Ask with so many clients at once for so long; return the answers per second."""
    began = time.perf_counter()
    counts = await asyncio.gather(*[_ask_until(session, target, began + seconds) for _ in range(clients)])
    return sum(counts) / (time.perf_counter() - began)


async def paired(
    targets: Sequence[Target], *, rounds: int, count: int, clients: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Measure all targets in turn, round by round, so that what else the machine does falls on all of them.

    Returns:
        By target: the median over all rounds of the latency in milliseconds (one client) and of the answers per second.
    """
    taken: dict[str, list[float]] = {target.name: [] for target in targets}
    served: dict[str, list[float]] = {target.name: [] for target in targets}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for target in targets:
            await latencies(session, target, max(20, count // 5))
        for _ in range(rounds):
            for target in targets:
                taken[target.name] += await latencies(session, target, count)
            for target in targets:
                served[target.name].append(await throughput(session, target, clients, seconds))
    return {
        target.name: {"p50_milliseconds": median(taken[target.name]), "per_second": median(served[target.name])}
        for target in targets
    }


def compared(ours: dict[str, float], theirs: dict[str, float]) -> str:
    """Two of `paired` as cells of a Markdown table: p50 and answers per second of both, each with their ratio."""
    p50, other_p50 = ours["p50_milliseconds"], theirs["p50_milliseconds"]
    served, other_served = ours["per_second"], theirs["per_second"]
    return (
        f"{p50:.2f} / {other_p50:.2f} | {p50 / other_p50:.2f} "
        f"| {served:.0f} / {other_served:.0f} | {served / other_served:.2f}"
    )


async def _ask(session: aiohttp.ClientSession, target: Target) -> None:
    method = "GET" if target.body is None else "POST"
    async with session.request(method, target.url, json=target.body) as response:
        await response.read()
        if response.status != 200:
            raise RuntimeError(f"{target.name}: {response.status} {await response.text()}")


async def _ask_until(session: aiohttp.ClientSession, target: Target, end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        await _ask(session, target)
        count += 1
    return count
