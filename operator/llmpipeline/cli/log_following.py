"""Follows the logs of replicas as they come and go: `logs --follow`."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from llmpipeline.cli.log_lines import Line, after, parsed, printable
from llmpipeline.cli.ray_logs import ALL, App, NoLogs, RayLogs, Replica

_LOOK_SECONDS: Final = 2.0
# Each stream takes a connection to the API server, and one of the 100 requests that Ray's dashboard answers at once.
_MOST: Final = 40
# So many lines are read again after a stream broke, to find what it missed.
_OVERLAP: Final = 1000
# And so many at the beginning of a stream: those that were written since the log was read.
_AGAIN: Final = 50


class Following:
    """Shows what replicas write from now on."""

    def __init__(
        self,
        choose: Callable[[Mapping[str, App]], Mapping[str, App]],
        show: Callable[[Line], None],
        tail: int,
        say: Callable[[str], None],
        seconds: float = _LOOK_SECONDS,
    ) -> None:
        """Take what is followed.

        Args:
            choose: Which apps; called at the first look alone, after which the same apps are meant.
            show: Shows a line.
            tail: Lines of each replica that are shown first.
            say: Shows a message.
            seconds: How often is looked for other replicas.
        """
        self._choose, self._show, self._tail, self._say, self._seconds = choose, show, tail, say, seconds
        self._tasks: dict[Replica, asyncio.Task[None]] = {}
        self._last: dict[Replica, str] = {}
        self._apps: frozenset[str] | None = None

    async def run(self, ray: Callable[[], RayLogs]) -> NoReturn:
        """Does so until it is cancelled.

        Args:
            ray: Ray's dashboard, which may be another one each time.

        Raises:
            NoLogs: It does not answer at the first look.
        """
        fault = ""
        try:
            while True:
                try:
                    await self._look(ray())
                    fault = ""
                except NoLogs as error:
                    if self._apps is None:
                        raise
                    if str(error) != fault:
                        self._say(f"{printable(str(error))}; trying again")
                    fault = str(error)
                await asyncio.sleep(self._seconds)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self, ray: RayLogs) -> None:
        """Starts to follow the replicas that are new, or whose stream broke."""
        apps = await ray.apps()
        is_first = self._apps is None
        if self._apps is None:
            self._apps = frozenset(self._choose(apps))
        there = sorted(replica for name in self._apps & apps.keys() for replica in apps[name].replicas)
        for replica in there:
            task = self._tasks.get(replica)
            if task and not task.done():
                continue
            if task and (error := task.exception()):  # what reads our output has ended, as `head` does
                raise error
            if sum(not it.done() for it in self._tasks.values()) >= _MOST:
                if is_first:
                    self._say(f"following {_MOST} of {len(there)} replicas; name an APP to follow fewer")
                break
            self._tasks[replica] = asyncio.create_task(self._follow(ray, replica, self._tail if is_first else ALL))
        for replica in [it for it, task in self._tasks.items() if it not in there and task.done()]:
            del self._tasks[replica]
            self._last.pop(replica, None)

    async def _follow(self, ray: RayLogs, replica: Replica, tail: int) -> None:
        """Shows what one replica writes, until its stream breaks; the next look begins again."""
        with contextlib.suppress(NoLogs):
            lines = _OVERLAP if replica in self._last else tail or 1  # Ray takes 0 for its own default
            read = [raw async for raw in ray.lines(replica, lines, follow=False)]
            fresh = after(read, self._last.get(replica))
            for raw in fresh if tail or replica in self._last else ():
                self._print(replica, raw)
            if read:
                self._last[replica] = read[-1]
            held: list[str] | None = [] if read else None
            async for raw in ray.lines(replica, _AGAIN, follow=True):
                held = self._take(replica, raw, held)

    def _take(self, replica: Replica, raw: str, held: list[str] | None) -> list[str] | None:
        """Shows a line of a stream, which begins with lines that were shown: they are held until the last of them."""
        if held is None:
            self._print(replica, raw)
            return None
        if raw == self._last[replica]:
            return None
        held.append(raw)
        if len(held) < _AGAIN:
            return held
        for missed in held:
            self._print(replica, missed)
        return None

    def _print(self, replica: Replica, raw: str) -> None:
        self._last[replica] = raw
        self._show(parsed(replica.name, raw))
