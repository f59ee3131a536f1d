"""The `render` command."""

from collections.abc import Sequence
from typing import Any

import click

from llmpipeline.cli.options import (
    CLASSES,
    FILES,
    NAMESPACE,
    PLATFORM,
    as_json,
    command,
    load_or_exit,
    pipelines_or_exit,
)
from llmpipeline.cli.yaml_output import manifests_as_yaml
from llmpipeline.render.platform import Platform


@command(
    "llmpipeline render pipeline.yaml",
    "llmpipeline render -n ml pipelines/",
    "kubectl get llmp reviews -o yaml | llmpipeline render -f -",
)
@FILES
@CLASSES
@NAMESPACE
@PLATFORM
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", help="Format of the result.")
def render(
    files: tuple[str, ...], class_files: tuple[str, ...], namespace: str | None, platform: Platform, output: str
) -> None:
    """Print the manifests that the operator would apply. No cluster is asked. With -o json they are one List.

    A class that a pipeline names must be in one of the files. A pipeline that names none gets the built-in defaults
    unless a file has a default class.

    The owner reference holds the pipeline's UID, which only a cluster gives: render one read from there to see it.
    """
    loaded = pipelines_or_exit(load_or_exit(files, namespace or "", platform, class_files=class_files), files)
    rendered: Sequence[dict[str, Any]] = [manifest for one in loaded for manifest in one.desired.manifests]
    if output == "json":
        click.echo(as_json({"apiVersion": "v1", "kind": "List", "items": rendered}))
    else:
        click.echo(manifests_as_yaml(rendered), nl=False)
