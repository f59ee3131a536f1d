"""The `open` command: a pipeline, or Ray's dashboard of it, at an address of this machine."""

import asyncio
import contextlib
import os
import socket
import sys
import webbrowser
from typing import Final, NoReturn

import click

from llmpipeline import names
from llmpipeline.cli.cluster_options import CLUSTER
from llmpipeline.cli.connection import answers, require_client, why
from llmpipeline.cli.options import INTERRUPTED, NEGATIVE, PIPELINE_NAMESPACE, UNREACHABLE, command, fail
from llmpipeline.cli.pipeline_name import complete, plain
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.kuberay.conventions import DASHBOARD_PORT
from llmpipeline.names import Key

_FIRST_SECONDS: Final = 60.0
_FORBIDDEN: Final = 403


@command(
    "llmpipeline open reviews                       # the serving port, at http://127.0.0.1:8000",
    "llmpipeline open reviews --dashboard -n ml     # Ray's dashboard, in the browser",
    "llmpipeline open reviews --port 9000",
)
@click.argument("name", shell_complete=complete)
@click.option("--dashboard", is_flag=True, help="Ray's own dashboard, with its token, instead of the serving port.")
@PIPELINE_NAMESPACE
@CLUSTER
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of this machine; 0 takes any free one. Default: 8000, and 8265 with --dashboard.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the dashboard in the browser.")
def open_command(
    name: str, dashboard: bool, namespace: str | None, context: str | None, port: int | None, no_browser: bool
) -> None:
    """Forward a pipeline's serving port to this machine, until Ctrl-C.

    It prints the address and the routes of the apps. With --dashboard it forwards Ray's dashboard of the RayCluster
    that serves, and adds Ray's token to each request. Only this machine can connect. If the Pod is replaced, it goes on
    with the next one and says so.

    Exits with 1 if there is nothing to forward to or the port is in use, and with 3 if the cluster cannot be reached or
    does not allow it.
    """
    require_client()
    from llmpipeline.cluster.endpoint import NotThere
    from llmpipeline.cluster.kubeconfig import default_namespace

    key = Key(namespace or default_namespace(context), plain(name))
    wants_browser = dashboard and not no_browser and _has_browser()
    default = DASHBOARD_PORT if dashboard else names.SERVE_PORT
    with _listening(default if port is None else port) as listening:
        try:
            with answers():
                asyncio.run(_serve(listening, key, context, dashboard=dashboard, wants_browser=wants_browser))
        except NotThere as missing:
            fail(str(missing), NEGATIVE)
        except (Unreachable, RequestRejected, TimeoutError) as error:
            fail(_rejection(error), UNREACHABLE)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


def _listening(port: int) -> socket.socket:
    """A socket of the loopback address alone, taken before anything else is done."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        fail(f"port {port} of this machine cannot be used: {error.strerror}; name another one with --port", NEGATIVE)


async def _serve(
    listening: socket.socket, key: Key, context: str | None, *, dashboard: bool, wants_browser: bool
) -> NoReturn:
    from llmpipeline.cli.forwarding import Follower, described, explain
    from llmpipeline.cli.local_proxy import LocalProxy
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.endpoint import Endpoint, find_endpoint
    from llmpipeline.cluster.port_forward import PortForward

    async with contextlib.AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(connect(context=context))

        async def find(keep: str = "") -> Endpoint:
            return await find_endpoint(cluster, key, dashboard=dashboard, keep=keep)

        def failed(text: str) -> None:
            _say(text)
            follower.look_soon()

        forward = await stack.enter_async_context(PortForward(cluster, failed))
        async with asyncio.timeout(_FIRST_SECONDS):
            follower = Follower(await find(), find, forward, _say)
            # A right that is missing is known now, and not when the browser asks.
            (await follower.dial()).close()
        proxy = LocalProxy(
            listening,
            follower.dial,
            upstream=lambda: follower.endpoint.uid,
            token=lambda: follower.endpoint.token,
            explain=explain,
            is_private=dashboard,
        )
        await stack.enter_async_context(proxy)
        _say(f"{described(follower.endpoint)}; Ctrl-C ends it")
        _print(proxy.url, {} if dashboard else follower.endpoint.routes)
        if wants_browser:
            await asyncio.to_thread(webbrowser.open, proxy.url)
        await follower.watch()
    raise AssertionError


def _print(url: str, routes: dict[str, str]) -> None:
    click.echo(url)
    width = max((len(route) for route in routes.values()), default=0)
    for app, route in sorted(routes.items(), key=lambda it: it[1]):
        click.echo(f"  {route.ljust(width)}  {app}")


def _rejection(error: Exception) -> str:
    if isinstance(error, RequestRejected) and error.status == _FORBIDDEN:
        return f"{why(error)}\ndocs/how-to/ray-dashboard.md lists the rights that `llmpipeline open` needs"
    return why(error)


def _has_browser() -> bool:
    """Not in a script, and not on a server: there it could be one that takes over the terminal."""
    has_screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(has_screen)


def _say(line: str) -> None:
    click.echo(line, err=True)
