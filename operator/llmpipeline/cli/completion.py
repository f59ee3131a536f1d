"""The `completion` command."""

import click

from llmpipeline.cli.options import command


@command('eval "$(llmpipeline completion bash)"', "llmpipeline completion fish | source")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "llmpipeline", "_LLMPIPELINE_COMPLETE").source())
