"""The command line: results to standard output, problems to standard error, and exit codes (see `options`).

One module has each command, and is imported when the command is called. So `init` starts in no time, and what needs
no cluster works where no client for one is installed.
"""

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, Final

import click

from llmpipeline import __version__
from llmpipeline.cli.options import INTERRUPTED

# Where each command is: module of this package, and name in it.
_COMMANDS: Final = {
    "completion": ("completion", "completion"),
    "doctor": ("doctor", "doctor"),
    "explain": ("explain", "explain"),
    "init": ("init", "init"),
    "logs": ("logs", "logs"),
    "open": ("open_", "open_command"),
    "operator": ("operator", "operator"),
    "plan": ("plan", "plan"),
    "render": ("render", "render"),
    "schema": ("schema", "schema"),
    "serve": ("serve", "serve"),
    "status": ("status", "status"),
    "validate": ("validate", "validate"),
}


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as unknown:  # click suggests those alone that were imported
            raise click.NoSuchCommand(unknown.command_name, possibilities=list(_COMMANDS), ctx=ctx) from None

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"llmpipeline.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click would make an "Aborted!" of it, with code 1, which here is a negative answer
            sys.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="llmpipeline")
def main() -> None:
    """Serve LLM pipelines with Ray, on Kubernetes and on this machine."""
    if isinstance(
        sys.stdout, TextIOWrapper
    ):  # bytes of a file name that are no text, half a surrogate pair of a status
        sys.stdout.reconfigure(errors="backslashreplace")
