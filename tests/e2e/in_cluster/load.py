"""Asks one address from inside the cluster until told to stop, and says what came back. Runs in a Pod of the tests.

    python load.py URL CLIENTS REQUESTS_PER_SECOND AT_LEAST [BODY]

It stops when /tmp/stop is there and AT_LEAST requests are answered. A request is lost where it has no whole answer with
status 200; none is sent twice. The last line of the output is the result as JSON. In it `gaps` has, for each second
since `began`, the longest time without an answer that ended in it, and `lost_at` the seconds in which requests were
lost. `lost_waited_seconds` says how long such a request had waited: a connection that is closed while it is idle loses
a request at once, and a server that dies loses those in work.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

STOP = Path("/tmp/stop")


class Result:
    """What came back."""

    def __init__(self) -> None:
        self.began = self._last = time.monotonic()
        self.gaps: dict[int, float] = {}
        self.lost_at: Counter[int] = Counter()
        self.lost_waited: list[float] = []
        self.answered = 0
        self.lost: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.slowest = 0.0

    @property
    def asked(self) -> int:
        """Requests that have ended, one way or the other."""
        return self.answered + self.lost.total()

    def answer(self, body: str) -> None:
        """An answer with status 200."""
        message = json.loads(body).get("message", "other")  # raises where it is no whole answer
        self.answered += 1
        self.messages[message] += 1
        now = time.monotonic()
        second = int(now - self.began)
        self.gaps[second] = max(self.gaps.get(second, 0.0), now - self._last)
        self._last = now

    def loss(self, kind: str, asked_at: float) -> None:
        """A request without a whole answer."""
        now = time.monotonic()
        self.lost[kind] += 1
        self.lost_at[int(now - self.began)] += 1
        self.lost_waited.append(round(now - asked_at, 3))

    def as_json(self) -> str:
        """One line."""
        now = time.monotonic()
        seconds = now - self.began
        gaps = {**self.gaps, int(seconds): max(self.gaps.get(int(seconds), 0.0), now - self._last)}
        return json.dumps(
            {
                "asked": self.asked,
                "lost": dict(self.lost),
                "messages": dict(self.messages),
                "slowest_seconds": round(self.slowest, 2),
                "per_second": round(self.asked / seconds),
                "began": round(time.time() - seconds, 2),
                "longest_gap_seconds": round(max(gaps.values()), 2),
                "gaps": {second: round(gap, 2) for second, gap in gaps.items()},
                "lost_at": dict(self.lost_at),
                "lost_waited_seconds": self.lost_waited[:8],
            }
        )


async def client(url: str, given: Any, interval: float, at_least: int, result: Result) -> None:
    """One of the clients: a connection that is kept, a request at a time, at an even pace."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while not (STOP.exists() and result.asked >= at_least):
            began = time.monotonic()
            try:
                # POST: aiohttp sends a GET again where a kept connection was closed under it, and would hide a loss.
                async with session.post(url, json=given) as response:
                    body = await response.text()
                    if response.status == 200:
                        result.answer(body)
                    else:
                        result.loss(f"{response.status} {body[:80]}", began)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                result.loss(f"{type(error).__name__}: {error}"[:100], began)
            took = time.monotonic() - began
            result.slowest = max(result.slowest, took)
            await asyncio.sleep(max(0.0, interval - took))


async def main(url: str, clients: int, per_second: float, at_least: int, given: Any) -> None:
    """All clients, and a line of progress every five seconds."""
    result = Result()
    work = [asyncio.create_task(client(url, given, clients / per_second, at_least, result)) for _ in range(clients)]
    everything = asyncio.gather(*work)
    while not everything.done():
        await asyncio.wait({everything}, timeout=5)
        print(result.as_json(), flush=True)
    await everything


if __name__ == "__main__":
    url, clients, per_second, at_least, *more = sys.argv[1:]
    body = json.loads(more[0]) if more else {"input": "x"}
    asyncio.run(main(url, int(clients), float(per_second), int(at_least), body))
