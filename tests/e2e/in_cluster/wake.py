"""Asks several addresses at once and says how each answered: `python wake.py '[URL, ...]'` prints `[[STATUS, S], ...]`.

A request has 120 seconds. Status 0: no answer, or one that ends early.
"""

import asyncio
import json
import sys
import time

import aiohttp


async def ask(session: aiohttp.ClientSession, url: str) -> tuple[int, float]:
    """Status and seconds of one request."""
    began = time.monotonic()
    try:
        async with session.post(url, json={"seconds": 3}) as response:
            body = await response.text()
            status = response.status if body else 0
    except (aiohttp.ClientError, OSError, TimeoutError):
        status = 0
    return status, round(time.monotonic() - began, 2)


async def main(urls: list[str]) -> None:
    """All at once, each on its own connection."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        print(json.dumps(await asyncio.gather(*(ask(session, url) for url in urls))))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
