"""The `status` command: what works of pipelines, what does not, and why, from their own status."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import click
from click.core import ParameterSource

from llmpipeline import conditions, names
from llmpipeline.api.status import Status
from llmpipeline.cli import slo as objectives
from llmpipeline.cli.cluster_options import CLUSTER
from llmpipeline.cli.connection import answers, require_client, why
from llmpipeline.cli.duration import POSITIVE_SECONDS
from llmpipeline.cli.options import (
    INTERRUPTED,
    NEGATIVE,
    OUTPUT,
    PIPELINE_NAMESPACE,
    UNREACHABLE,
    as_json,
    command,
    fail,
    wants_colour,
)
from llmpipeline.cli.pipeline_name import complete, plain
from llmpipeline.cli.status_text import as_table, as_text, in_a_line, is_current
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from llmpipeline.names import Key, Manifest

_INTERVAL: Final = 1.0
_AWAITED: Final = (conditions.Accepted, conditions.Applied, conditions.Available, conditions.Ready)

Read = Callable[[], Awaitable[Manifest | None]]
Say = Callable[[str], None]


@command(
    "llmpipeline status                                # every pipeline of this namespace",
    "llmpipeline status -A                             # and of all others",
    "llmpipeline status reviews -n ml --watch",
    "llmpipeline status reviews --wait 10m && curl ...",
    "llmpipeline status chat --slo --prometheus http://localhost:9090",
)
@click.argument("name", required=False, shell_complete=complete)
@PIPELINE_NAMESPACE
@click.option("-A", "--all-namespaces", is_flag=True, help="The pipelines of all namespaces.")
@CLUSTER
@click.option("-w", "--watch", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
@click.option("--wait", "seconds", type=POSITIVE_SECONDS, help="Wait at most so long for the condition: 600, 10m, 1h.")
@click.option(
    "--wait-for",
    "condition",
    type=click.Choice([kind.TYPE for kind in _AWAITED]),
    default=conditions.Ready.TYPE,
    show_default=True,
    help="The condition that must be true for exit code 0.",
)
@click.option("--slo", is_flag=True, help="Compare the objectives of each app with what Prometheus measured.")
@click.option(
    "--prometheus",
    metavar="URL",
    envvar=objectives.VARIABLE,
    show_envvar=True,
    help="Where --slo reaches Prometheus, such as http://localhost:9090.",
)
@click.option("--window", default="1h", show_default=True, help="How far --slo looks back, such as 5m, 1h or 7d.")
@OUTPUT
def status(
    name: str | None,
    namespace: str | None,
    all_namespaces: bool,
    context: str | None,
    watch: bool,
    seconds: int | None,
    condition: str,
    slo: bool,
    prometheus: str | None,
    window: str,
    output: str,
) -> None:
    """Report what works of a pipeline, what does not, and why. Without a name: of all in the namespace.

    With --wait, each change is a line on standard error. Exits with 0 if it is ready (or what --wait-for says) at its
    newest generation, and with 1 if it is not or there is none. It ends at once if that cannot come true until somebody
    acts: the spec is rejected, or the change is stalled.

    With --slo, each objective of the apps is compared with what Prometheus measured in the window. Exits with 0 if
    every objective with data is met, with 1 if one is not or none has data, and with 3 if Prometheus cannot be reached
    or rejects the query.
    """
    if name is None and (watch or seconds):
        raise click.UsageError("--watch and --wait need the NAME of a pipeline")
    if name is not None and all_namespaces:
        raise click.UsageError("-A shows every pipeline: leave out the NAME, or take -n")
    if watch and seconds:
        raise click.UsageError("--watch shows changes until Ctrl-C, and --wait ends: take one of them")
    if slo:
        if name is None or watch or _is_given("seconds", "condition"):
            raise click.UsageError("--slo needs the NAME of one pipeline, and no --watch, --wait or --wait-for")
        prometheus = objectives.checked(prometheus, window)
    elif _is_given("prometheus", "window"):
        raise click.UsageError("--prometheus and --window need --slo")
    require_client()
    from llmpipeline.cluster.kubeconfig import default_namespace

    where = None if all_namespaces else namespace or default_namespace(context)
    try:
        with answers():
            if name is not None and prometheus and slo:
                found = asyncio.run(_read(Key(where or "", plain(name)), context))
                code = objectives.report(found, prometheus, window, output)
            elif name is None:
                code = asyncio.run(_list(where, context, condition, output))
            else:
                key = Key(where or "", plain(name))
                code = asyncio.run(_one(key, context, condition, output, watch=watch, seconds=seconds))
    except (Unreachable, RequestRejected, TimeoutError) as error:
        fail(why(error), UNREACHABLE)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _is_given(*options: str) -> bool:
    """Whether one of them is on the command line."""
    context = click.get_current_context()
    return any(context.get_parameter_source(option) is ParameterSource.COMMANDLINE for option in options)


async def _list(namespace: str | None, context: str | None, condition: str, output: str) -> int:
    from llmpipeline.cluster.client import connect

    async with connect(context=context) as cluster:
        found = [it async for it in cluster.pipelines(namespace)]
    if output == "json":
        _print(as_json([_described(document) for document in found]))
    elif found:
        _print(as_table(found, datetime.now(UTC), namespaces=namespace is None))
    else:
        click.echo(f"there is no pipeline in {f'namespace {namespace}' if namespace else 'any namespace'}", err=True)
    return 0 if all(is_true(document, condition) for document in found) else NEGATIVE


async def _one(key: Key, context: str | None, condition: str, output: str, *, watch: bool, seconds: int | None) -> int:
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.endpoint import missing

    async with connect(context=context) as cluster:

        async def read() -> Manifest | None:
            return await cluster.read(names.KIND, key)

        if watch:
            async for document in changes(read):
                _show(key, document, output)
        found = await (wait(read, condition, seconds, _note) if seconds else read())
        if found is None:
            fail(await missing(cluster, key), NEGATIVE)
    _show(key, found, output)
    return 0 if is_true(found, condition) else NEGATIVE


async def _read(key: Key, context: str | None) -> Manifest:
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.endpoint import missing

    async with connect(context=context) as cluster:
        found = await cluster.read(names.KIND, key)
        return found or fail(await missing(cluster, key), NEGATIVE)


async def changes(read: Read) -> AsyncIterator[Manifest | None]:
    """The pipeline as it is, and again whenever it changed. A cluster that does not answer is asked again."""
    shown: Any = ...
    while True:
        try:
            found = await read()
        except (Unreachable, TimeoutError) as error:
            if shown is ...:
                raise
            click.echo(f"{why(error)}; trying again", err=True)
        else:
            if found != shown:
                yield found
                shown = found
        await asyncio.sleep(_INTERVAL)


async def wait(read: Read, condition: str, seconds: float, say: Say) -> Manifest | None:
    """The pipeline once the condition is true of its newest generation, cannot become true, or the time is over.

    Raises:
        Unreachable: The cluster does not answer at the end.
    """
    began, said = time.monotonic(), ""
    while True:
        over = time.monotonic() - began >= seconds
        found = None
        try:
            found = await read()
            line = in_a_line(found) if found else "there is no such pipeline yet; waiting for it to appear"
        except (Unreachable, TimeoutError) as error:
            if over:
                raise
            line = f"{why(error)}; trying again"
        if line != said:
            say(f"{time.monotonic() - began:4.0f}s  {line}")
            said = line
        if over or (found and (is_true(found, condition) or is_stalled(found))):
            return found
        await asyncio.sleep(_INTERVAL)


def is_true(document: Manifest, condition: str) -> bool:
    """Whether the status says so of the newest generation."""
    said = Status.of(document).condition(condition)
    return bool(said and said.status == "True" and is_current(document, said))


def is_stalled(document: Manifest) -> bool:
    """Whether what the newest generation asks for cannot come true until somebody acts."""
    return is_true(document, conditions.Stalled.TYPE)


def _show(key: Key, document: Manifest | None, output: str) -> None:
    if document is None:
        click.echo(f"there is no pipeline {key.name} in namespace {key.namespace}", err=True)
    else:
        _print(as_json(_described(document)) if output == "json" else as_text(document))


def _described(document: Manifest) -> Manifest:
    """The status, and whose it is."""
    metadata = document["metadata"]
    whose = {field: metadata[field] for field in ("namespace", "name", "generation")}
    return {**whose, **(document.get("status") or {})}


def _print(text: str) -> None:
    click.echo(text, color=wants_colour())


def _note(line: str) -> None:
    click.echo(line, err=True)
