"""The `schema` command: the resource as JSON Schema, for editors and other tools."""

from pathlib import Path

import click

from llmpipeline.cli.options import NEGATIVE, as_json, command, completed_file, fail


@command(
    "llmpipeline schema -o llmpipeline.schema.json",
    "# then as the first line of a pipeline:",
    "# yaml-language-server: $schema=llmpipeline.schema.json",
)
@click.option("-o", "--output", "file", metavar="FILE", shell_complete=completed_file, help="Write it to this file.")
def schema(file: str | None) -> None:
    """Print the JSON Schema of the resource. Editors complete fields and mark errors with it.

    It is made of the CRD. What only the API server and the operator can check, `llmpipeline validate` reports.
    """
    from llmpipeline.api.json_schema import json_schema

    text = as_json(json_schema()) + "\n"
    if file is None or file == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", NEGATIVE)
    click.echo(f"{file}: written", err=True)
