"""The NAME of a pipeline in the cluster, as commands take it, and its completion in a shell."""

import asyncio
from typing import Final

import click

from llmpipeline import names
from llmpipeline.cli.silence import silence
from llmpipeline.names import Key

_PREFIXES: Final = tuple(f"{word}/" for word in ("llmp", "llmpipeline", names.PLURAL, names.KIND))
# Who presses the tabulator waits for this long at most.
_SECONDS: Final = 3.0
_MOST: Final = 500


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
    try:
        with silence():
            found = asyncio.run(asyncio.wait_for(_names(given.get("namespace"), given.get("context")), _SECONDS))
    except Exception:  # an error would stand in the middle of the line that is typed
        return []
    return [name for name in found if name.startswith(incomplete)]


def complete_app(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The apps of the pipeline that is named before."""
    given = context.params
    try:
        with silence():
            question = _apps(plain(given["name"]), given.get("namespace"), given.get("context"))
            found = asyncio.run(asyncio.wait_for(question, _SECONDS))
    except Exception:
        return []
    return [name for name in found if name.startswith(incomplete)]


async def _apps(name: str, namespace: str | None, context: str | None) -> list[str]:
    from llmpipeline.cluster.client import connect
    from llmpipeline.cluster.kubeconfig import default_namespace

    async with connect(context=context) as cluster:
        found = await cluster.read(names.KIND, Key(namespace or default_namespace(context), name))
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
