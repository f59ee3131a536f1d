"""The command line: results to standard output, problems to standard error, and exit codes (see `options`).

One module has each command. What they import at once is light: what asks a cluster or runs one is imported when the
command is called, so that `render` starts in no time.
"""

import click

from llmpipeline import __version__
from llmpipeline.cli.completion import completion
from llmpipeline.cli.doctor import doctor
from llmpipeline.cli.explain import explain
from llmpipeline.cli.init import init
from llmpipeline.cli.logs import logs
from llmpipeline.cli.open_ import open_command
from llmpipeline.cli.operator import operator
from llmpipeline.cli.plan import plan
from llmpipeline.cli.render import render
from llmpipeline.cli.schema import schema
from llmpipeline.cli.serve import serve
from llmpipeline.cli.status import status
from llmpipeline.cli.validate import validate


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="llmpipeline")
def main() -> None:
    """Serve LLM pipelines with Ray, on Kubernetes and on this machine."""


for command in (completion, doctor, explain, init, logs, operator, plan, render, schema, serve, status, validate):
    main.add_command(command)
main.add_command(open_command, "open")
