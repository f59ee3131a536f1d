"""Opens streams of a number of lines, one a second, and says how many came whole. Runs in a Pod of the tests.

    python streams.py URL STREAMS SECONDS

The last line of the output is the result as JSON: `whole`, `cut` by kind, and `lines` of those that were cut.
"""

import asyncio
import json
import sys
from collections import Counter

import aiohttp


async def stream(url: str, seconds: int, whole: Counter[str], lines: list[int]) -> None:
    """One stream: its own connection, and every line in its place."""
    count = 0
    try:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=30)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, json={"seconds": seconds}) as response,
        ):
            if response.status != 200:
                whole[f"{response.status}"] += 1
                return
            async for line in response.content:
                if int(line) != count:
                    break
                count += 1
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        whole[type(error).__name__] += 1
        lines.append(count)
        return
    whole["whole" if count == seconds else "short"] += 1
    if count != seconds:
        lines.append(count)


async def main(url: str, streams: int, seconds: int) -> None:
    """All at once."""
    found, lines = Counter[str](), list[int]()
    print("asked", flush=True)
    await asyncio.gather(*(stream(url, seconds, found, lines) for _ in range(streams)))
    print(json.dumps({"whole": found.pop("whole", 0), "cut": dict(found), "lines": lines}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
