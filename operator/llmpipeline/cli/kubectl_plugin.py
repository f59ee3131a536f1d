"""`kubectl llmp ...`: kubectl runs the program `kubectl-llmp` then, and `kubectl_complete-llmp` to complete it.

kubectl reads completions as cobra prints them: a line each, then a colon and a number that says what the shell does.
"""

import sys
from collections.abc import Sequence
from typing import Final

import click
from click.shell_completion import ShellComplete

from llmpipeline.cli.main import main as commands
from llmpipeline.cli.silence import silence

NAME: Final = "kubectl llmp"
# Of cobra: the shell completes names of files, or nothing more than what was found.
_FILES, _NO_FILES = 0, 4


def main() -> None:
    """The command line, by the name that the user typed."""
    commands(prog_name=NAME)


def complete() -> None:
    """Prints what completes the last argument."""
    click.echo("\n".join(completions(sys.argv[1:])))


def completions(arguments: Sequence[str]) -> list[str]:
    """The lines that kubectl reads, from the words after `kubectl llmp`, of which the last is not complete."""
    *before, last = arguments or ("",)
    try:
        with silence():
            found = ShellComplete(commands, {}, NAME, "").get_completions(before, last)
    except Exception:  # an error would stand in the middle of the line that is typed
        found = []
    values = [f"{it.value}\t{it.help}" if it.help else it.value for it in found if it.type == "plain"]
    return [*values, f":{_FILES if any(it.type != 'plain' for it in found) else _NO_FILES}"]
