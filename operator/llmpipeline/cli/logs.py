"""The `logs` command: what the replicas of a pipeline write."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from llmpipeline.cli.cluster_options import CLUSTER
from llmpipeline.cli.connection import answers, require_client, why
from llmpipeline.cli.log_lines import Line, in_order, parsed, printable
from llmpipeline.cli.options import (
    INTERRUPTED,
    NEGATIVE,
    OUTPUT,
    PIPELINE_NAMESPACE,
    UNREACHABLE,
    command,
    fail,
    wants_colour,
)
from llmpipeline.cli.pipeline_name import complete, complete_app, plain
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.names import Key

if TYPE_CHECKING:
    from llmpipeline.cli.ray_logs import App, RayLogs, Replica

_FIRST_SECONDS: Final = 60.0


@command(
    "llmpipeline logs reviews                  # the last lines of every replica",
    "llmpipeline logs reviews chat -f          # of one app, and what it writes from now on",
    "llmpipeline logs reviews chat --previous  # of replicas that ended, for example because they failed to start",
    "llmpipeline logs reviews -o json | jq 'select(.levelname == \"ERROR\")'",
)
@click.argument("name", shell_complete=complete)
@click.argument("app", required=False, shell_complete=complete_app)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option(
    "--tail",
    type=click.IntRange(-1),
    default=100,
    show_default=True,
    help="Lines of each replica from the end of its log; -1: all.",
)
@click.option("-p", "--previous", is_flag=True, help="Of the replicas that ended, as long as their node is there.")
@PIPELINE_NAMESPACE
@CLUSTER
@OUTPUT
def logs(
    name: str,
    app: str | None,
    follow: bool,
    tail: int,
    previous: bool,
    namespace: str | None,
    context: str | None,
    output: str,
) -> None:
    """Print the logs of Ray Serve's replicas: of a pipeline, or of one APP in it.

    They come from Ray's dashboard, through the API server: you need the same rights as for `llmpipeline open
    --dashboard`, and the head Pod must run. With -o json each line is as Ray wrote it.

    Exits with 1 if there is no such pipeline, app or replica, and with 3 if the cluster or Ray cannot be reached.
    """
    if follow and previous:
        raise click.UsageError("a replica that ended writes nothing more: take --follow or --previous.")
    require_client()
    from llmpipeline.cli.ray_logs import NoLogs
    from llmpipeline.cluster.endpoint import NotThere
    from llmpipeline.cluster.kubeconfig import default_namespace

    key = Key(namespace or default_namespace(context), plain(name))
    show = _Printer(output)
    try:
        with answers():
            asyncio.run(_run(key, context, app, show, tail=tail, follow=follow, previous=previous))
    except NotThere as missing:
        fail(str(missing), NEGATIVE)
    except NoLogs as error:
        fail(printable(str(error)), UNREACHABLE)
    except (Unreachable, RequestRejected, TimeoutError) as error:
        fail(why(error), UNREACHABLE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


class _Printer:
    def __init__(self, output: str) -> None:
        self._output = output

    def __call__(self, line: Line) -> None:
        click.echo(line.as_json() if self._output == "json" else line.as_text(), color=wants_colour())


async def _run(
    key: Key, context: str | None, app: str | None, show: _Printer, *, tail: int, follow: bool, previous: bool
) -> None:
    from aiohttp import ClientSession, DummyCookieJar

    from llmpipeline.cli.forwarding import Follower
    from llmpipeline.cli.local_proxy import DialConnector
    from llmpipeline.cli.log_following import Following
    from llmpipeline.cli.ray_logs import RayLogs
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.endpoint import Endpoint, find_endpoint
    from llmpipeline.cluster.port_forward import PortForward

    async with contextlib.AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(connect(context=context))

        async def find(keep: str = "") -> Endpoint:
            return await find_endpoint(cluster, key, dashboard=True, keep=keep)

        forward = await stack.enter_async_context(PortForward(cluster, _say))
        async with asyncio.timeout(_FIRST_SECONDS):
            follower = Follower(await find(), find, forward, _say)
            # A right that is missing is known now, and by name.
            (await follower.dial()).close()
        connector = DialConnector(follower.dial)
        session = await stack.enter_async_context(ClientSession(connector=connector, cookie_jar=DummyCookieJar()))

        def ray() -> RayLogs:
            token = follower.endpoint.token
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return RayLogs(session, f"http://{follower.endpoint.uid}", headers)

        if follow:
            stack.enter_context(_task(follower.watch()))
            await Following(lambda apps: choose(apps, app), show, tail, _say).run(ray)
        else:
            await show_once(ray(), app, show, tail, previous=previous)


async def show_once(
    ray: "RayLogs", app: str | None, show: Callable[[Line], None], tail: int, *, previous: bool
) -> None:
    """Prints the last lines of each replica, in the order of their times."""
    chosen = choose(await ray.apps(), app)
    running = {replica for it in chosen.values() for replica in it.replicas}
    replicas = sorted(running)
    if previous:
        files = {(it.node, it.file) for it in running}
        everything = [it for name in chosen for it in await ray.files(name)]
        replicas = [it for it in everything if (it.node, it.file) not in files]
    if not replicas:
        kind = "ended and left a log" if previous else "runs; --previous shows those that ended"
        fail(f"no replica of {', '.join(chosen)} {kind}", NEGATIVE)
    found = await asyncio.gather(*(_read(ray, replica, tail) for replica in replicas))
    for line in in_order(found):
        show(line)


async def _read(ray: "RayLogs", replica: "Replica", tail: int) -> list[Line]:
    found: list[Line] = []
    if tail == 0:
        return found
    async for raw in ray.lines(replica, tail, follow=False):
        found.append(parsed(replica.name, raw, found[-1].time if found else ""))
    return found


def choose(apps: "Mapping[str, App]", app: str | None) -> "dict[str, App]":
    """The app, or all; says what is wrong with those that do not run. Ends the program if there is none."""
    if app is not None and app not in apps:
        known = f"; there are {', '.join(sorted(apps))}" if apps else "; Ray Serve has none yet"
        fail(f"there is no app {app}{known}", NEGATIVE)
    chosen = {name: it for name, it in sorted(apps.items()) if app in (None, name)}
    if not chosen:
        fail("Ray Serve has no app yet", NEGATIVE)
    for name, it in chosen.items():
        if it.state != "RUNNING":
            words = " ".join(it.message.split())
            _say(printable(f"app {name} is {it.state}: {words}" if words else f"app {name} is {it.state}"))
    return chosen


@contextlib.contextmanager
def _task(work: Coroutine[Any, Any, None]) -> Iterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()


def _say(line: str) -> None:
    click.echo(line, err=True)
