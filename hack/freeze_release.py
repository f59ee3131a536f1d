"""Keeps what a release renders, so that every later version is compared with it: `make freeze-release VERSION=0.1.0`.

Of each sample one file in tests/golden/releases/VERSION: the pipeline as it was, and its RayService as it was rendered.
"""

import sys

import click

from support.releases import RELEASES, freeze


@click.command()
@click.argument("version")
def main(version: str) -> None:
    """Write the files of VERSION, like 0.1.0. They are never written again."""
    folder = RELEASES / version
    if folder.exists():
        sys.exit(f"{folder} is there: what a release rendered does not change any more")
    click.echo(f"{folder}: {freeze(folder)} samples")


if __name__ == "__main__":
    main()
