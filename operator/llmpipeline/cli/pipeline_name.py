"""The NAME of a pipeline in the cluster, as commands take it, and its completion in a shell."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import click

from llmpipeline import names
from llmpipeline.cli.silence import silence
from llmpipeline.names import Key

_PREFIXES: Final = tuple(f"{word}/" for word in ("llmp", "llmpipeline", names.PLURAL, names.KIND))
# Who presses the tabulator waits for this long at most.
_SECONDS: Final = 3.0
_MOST: Final = 500

_Question = Callable[[str | None, str | None], Awaitable[list[str]]]


def plain(name: str) -> str:
    """The name alone of what kubectl calls `llmp/NAME`."""
    prefix = next((it for it in _PREFIXES if name.lower().startswith(it.lower())), "")
    bare = name[len(prefix) :]
    if not names.is_object_name(bare):
        raise click.BadParameter(f"{name!r} cannot be the name of a pipeline", param_hint="NAME")
    return bare


def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The pipelines of the namespace that is meant; none if the cluster does not say."""
    given = context.params
    return _in_time(_names, given.get("namespace"), given.get("context"), incomplete=incomplete)


def complete_app(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The apps of the pipeline that is named before."""
    given = context.params
    of_one = partial(_apps, str(given.get("name")))
    return _in_time(of_one, given.get("namespace"), given.get("context"), incomplete=incomplete)


def _in_time(question: _Question, namespace: str | None, context: str | None, *, incomplete: str) -> list[str]:
    """What a question brings that begins so; nothing if it fails: an error would stand in the line that is typed."""
    try:
        with silence():
            # Before the time begins: on a busy machine it takes seconds to load.
            import llmpipeline.cluster.client  # noqa: F401

            found = asyncio.run(asyncio.wait_for(question(namespace, context), _SECONDS))
    except Exception:
        return []
    return [name for name in found if name.startswith(incomplete)]


async def _apps(name: str, namespace: str | None, context: str | None) -> list[str]:
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.kubeconfig import default_namespace

    async with connect(context=context) as cluster:
        found = await cluster.read(names.KIND, Key(namespace or default_namespace(context), plain(name)))
    return [app["name"] for app in found["spec"]["apps"]] if found else []


async def _names(namespace: str | None, context: str | None) -> list[str]:
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.kubeconfig import default_namespace

    found: list[str] = []
    async with connect(context=context) as cluster:
        async for document in cluster.pipelines(namespace or default_namespace(context)):
            found.append(document["metadata"]["name"])
            if len(found) >= _MOST:
                break
    return found
