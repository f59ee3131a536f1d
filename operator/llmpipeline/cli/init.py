"""The `init` command: a commented file to start from."""

import re
from importlib import resources
from pathlib import Path
from typing import Final

import click

from llmpipeline.cli.options import NEGATIVE, command, completed_file, fail
from llmpipeline.names import LONGEST_NAME

KINDS: Final = ("chat", "graph", "ab", "rag")


def _name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and (not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", value) or len(value) > LONGEST_NAME):
        most = f"at most {LONGEST_NAME} characters"
        raise click.BadParameter(f"{value!r} must be lowercase letters, digits and dashes, {most}, a letter first.")
    return value


@command(
    "llmpipeline init chat > chat.yaml",
    "llmpipeline init rag support.yaml --name support",
    "llmpipeline init graph | llmpipeline validate -",
)
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("file", required=False, shell_complete=completed_file)
@click.option("--name", callback=_name, help="The pipeline's name. Default: the KIND.")
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
def init(kind: str, file: str | None, name: str | None, force: bool) -> None:
    """Write a commented pipeline to start from, to standard output or to FILE.

    chat: a model behind the OpenAI API. graph: several models for one request. ab: two models with a split of the
    users. rag: a search in a vector database and an answer from what it found.

    Each is valid as it is; change the image and the models. An existing file is not overwritten without --force.
    """
    text = starter(kind, name, file)
    if file is None or file == "-":
        click.echo(text, nl=False)
        return
    try:
        with Path(file).open("w" if force else "x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        fail(f"{file} exists; pass --force to overwrite it", NEGATIVE)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", NEGATIVE)
    click.echo(f"{file}: written; next: llmpipeline validate {file}", err=True)


def starter(kind: str, name: str | None = None, file: str | None = None) -> str:
    """The text of a file to start from, with this name, and with comments that name this file."""
    text = resources.files("llmpipeline.cli").joinpath("starters", f"{kind}.yaml").read_text("utf-8")
    if file and file != "-" and file.isprintable():
        text = text.replace(f" {kind}.yaml", f" {file}")
    return re.sub(rf"(?m)^  name: {kind}$", f"  name: {name or kind}", text, count=1)
