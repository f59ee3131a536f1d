"""The options of commands that ask a cluster."""

import os
from collections.abc import Callable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem


def _use(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """The rest of the program reads the variable: a plugin that logs in must see the same file."""
    if value:
        os.environ["KUBECONFIG"] = value


def _contexts(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from llmpipeline.cli.silence import silence

    with silence():
        try:
            from llmpipeline.cluster.kubeconfig import contexts

            return [name for name in contexts() if name.startswith(incomplete)]
        except ImportError:  # the tool is installed without the Kubernetes client
            return []


def _file(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


_CONTEXT: Final = click.option(
    "--context", shell_complete=_contexts, help="The context of the kubeconfig. Default: its current context."
)
_KUBECONFIG: Final = click.option(
    "--kubeconfig",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_use,
    shell_complete=_file,
    help="The kubeconfig. Default: KUBECONFIG, else ~/.kube/config.",
)


def CLUSTER(function: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  # named like the other options
    """Which cluster is asked; the command gets a `context`."""
    return _CONTEXT(_KUBECONFIG(function))
