"""Asks one address from inside the cluster until told to stop, and says what came back. Runs in a Pod of the tests.

    python load.py URL CLIENTS REQUESTS_PER_SECOND AT_LEAST

It stops when /tmp/stop is there and AT_LEAST requests are answered. A request is lost where it has no whole answer with
status 200; none is sent twice. The last line of the output is the result as JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import aiohttp

STOP = Path("/tmp/stop")


class Result:
    """What came back."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.answered = 0
        self.lost: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.slowest = 0.0

    @property
    def asked(self) -> int:
        """Requests that have ended, one way or the other."""
        return self.answered + self.lost.total()

    def as_json(self) -> str:
        """One line."""
        seconds = time.monotonic() - self.began
        return json.dumps(
            {
                "asked": self.asked,
                "lost": dict(self.lost),
                "messages": dict(self.messages),
                "slowest_seconds": round(self.slowest, 2),
                "per_second": round(self.asked / seconds),
            }
        )


async def client(url: str, interval: float, at_least: int, result: Result) -> None:
    """One of the clients: a connection that is kept, a request at a time, at an even pace."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while not (STOP.exists() and result.asked >= at_least):
            began = time.monotonic()
            try:
                # POST: aiohttp sends a GET again where a kept connection was closed under it, and would hide a loss.
                async with session.post(url, json={"input": "x"}) as response:
                    body = await response.text()
                    if response.status == 200:
                        result.answered += 1
                        result.messages[json.loads(body).get("message", "other")] += 1
                    else:
                        result.lost[f"{response.status} {body[:80]}"] += 1
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                result.lost[f"{type(error).__name__}: {error}"[:100]] += 1
            took = time.monotonic() - began
            result.slowest = max(result.slowest, took)
            await asyncio.sleep(max(0.0, interval - took))


async def main(url: str, clients: int, per_second: float, at_least: int) -> None:
    """All clients, and a line of progress every five seconds."""
    result = Result()
    work = [asyncio.create_task(client(url, clients / per_second, at_least, result)) for _ in range(clients)]
    everything = asyncio.gather(*work)
    while not everything.done():
        await asyncio.wait({everything}, timeout=5)
        print(result.as_json(), flush=True)
    await everything


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
