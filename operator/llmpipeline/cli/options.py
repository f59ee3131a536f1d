"""What the commands share: their options, exit codes, and how they end."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from llmpipeline import names
from llmpipeline.render.platform import DEFAULT, Platform, wrong_with

if TYPE_CHECKING:
    from llmpipeline.cli.documents import Loaded, LoadedPipeline

# Exit codes besides 0 (done) and click's own 2 (wrong usage). The input is wrong, or the answer is no:
NEGATIVE: Final = 1
# The cluster or Ray cannot be reached:
UNREACHABLE: Final = 3
# Ctrl-C, as a shell reports it:
INTERRUPTED: Final = 130


def completed_file(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leaves it to the shell, which knows its files best."""
    return [CompletionItem(incomplete, type="file")]


def one_namespace(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The namespace that an option names; ends with wrong usage if none can be named so."""
    if value is not None and not names.is_object_name(value):
        raise click.BadParameter(f"{value!r} cannot be the name of a namespace.")
    return value


_OPTION_FILES: Final = click.option(
    "-f",
    "--filename",
    "options",
    multiple=True,
    metavar="FILE",
    shell_complete=completed_file,
    help="A file, a folder, or - for standard input, like the arguments. May be given several times.",
)
_ARGUMENT_FILES: Final = click.argument(
    "arguments", nargs=-1, metavar="[FILE]...", type=click.UNPROCESSED, shell_complete=completed_file
)
# Of commands that read files.
NAMESPACE: Final = click.option(
    "-n",
    "--namespace",
    callback=one_namespace,
    help="The namespace of pipelines whose file names none, as `kubectl apply -n` takes it.",
)
# Of commands that ask for one pipeline.
PIPELINE_NAMESPACE: Final = click.option(
    "-n",
    "--namespace",
    callback=one_namespace,
    help="The pipeline's namespace. Default: that of the kubeconfig's context.",
)


def FILES(function: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  # named like the other options
    """Files as arguments and by -f; the command gets both as `files`, at least one."""

    @wraps(function)
    def made(*, options: tuple[str, ...], arguments: tuple[str, ...], **given: Any) -> Any:
        files = (*options, *arguments)
        if not files:
            raise click.UsageError("name a FILE, a folder, or - for standard input.")
        if files.count("-") > 1:
            raise click.UsageError("standard input (-) can be read once.")
        return function(files=files, **given)

    return _OPTION_FILES(_ARGUMENT_FILES(made))


CLASSES: Final = click.option(
    "--class",
    "class_files",
    multiple=True,
    metavar="FILE",
    shell_complete=completed_file,
    help="A file or folder with the LLMPipelineClass that pipelines get their defaults from. May be given several "
    "times. Classes in the other files count too.",
)
OUTPUT: Final = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Format of the result."
)


def _checked(_context: click.Context, _parameter: click.Parameter, keys: tuple[str, ...]) -> tuple[str, ...]:
    """Labels and annotations that may be passed on; ends with wrong usage if one may not. An empty one is none."""
    for key in filter(None, keys):
        if wrong := wrong_with(key):
            raise click.BadParameter(wrong)
    return tuple(filter(None, keys))


_KUBERAY_NAMESPACE: Final = click.option(
    "--kuberay-namespace",
    default=DEFAULT.kuberay_namespace,
    show_default=True,
    metavar="NAMESPACE",
    help="Where KubeRay's operator runs; network policies let its Pods in.",
)


_PASS_ON_LABEL: Final = click.option(
    "--pass-on-label",
    "labels",
    multiple=True,
    default=DEFAULT.labels,
    show_default=True,
    metavar="KEY",
    callback=_checked,
    help="A label of pipelines that their RayServices and Pods get too: a key, or a prefix that ends in a slash. May "
    "be given several times.",
)
_PASS_ON_ANNOTATION: Final = click.option(
    "--pass-on-annotation",
    "annotations",
    multiple=True,
    metavar="KEY",
    callback=_checked,
    help="An annotation that is passed on in the same way.",
)


def PLATFORM(function: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802  # named like the other options
    """The options of what administrators decide for all pipelines; the command gets a `platform`."""

    @wraps(function)
    def made(*, kuberay_namespace: str, labels: tuple[str, ...], annotations: tuple[str, ...], **given: Any) -> Any:
        return function(platform=Platform(kuberay_namespace, labels, annotations), **given)

    return _KUBERAY_NAMESPACE(_PASS_ON_LABEL(_PASS_ON_ANNOTATION(made)))


class _Verbatim(click.Command):
    """A command whose examples keep their lines, and whose summary is its first sentence, whatever the width."""

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002  # click cuts it there
        first = " ".join((self.help or "").split("\n\n")[0].split())
        return first.partition(". ")[0].rstrip(".") + "."

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            with formatter.section("Examples"):
                formatter.write(f"{self.epilog.rstrip()}\n")


def command(*examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Makes a command of a function, with these lines as examples under its help."""
    return click.command(cls=_Verbatim, epilog="".join(f"  {line}\n" for line in examples))


def load_or_exit(
    files: tuple[str, ...],
    namespace: str = "",
    platform: Platform = DEFAULT,
    *,
    class_files: tuple[str, ...] = (),
    needs_classes: bool = True,
) -> "Loaded":
    """What is in these files; ends the program if there is a problem.

    Args:
        files: Paths.
        namespace: As `read_files` takes it.
        platform: As `read_files` takes it.
        class_files: As `read_files` takes it.
        needs_classes: The result would be wrong without a class that a pipeline names.
    """
    # It brings the whole resource, which commands without files do not need.
    from llmpipeline.cli.documents import read_files

    return sound_or_exit(read_files(files, namespace, platform, class_files=class_files), needs_classes=needs_classes)


def sound_or_exit(loaded: "Loaded", *, needs_classes: bool = True) -> "Loaded":
    """The same; ends the program if there is a problem in it."""
    if loaded.problems:
        fail("\n".join(str(problem) for problem in loaded.problems), NEGATIVE)
    notes = [
        f"{one.file}: {one.key.name}: {one.desired.used.note}" for one in loaded.pipelines if one.desired.used.note
    ]
    if notes and needs_classes:
        fail("\n".join(notes), NEGATIVE)
    return loaded


def pipelines_or_exit(loaded: "Loaded", files: tuple[str, ...]) -> "list[LoadedPipeline]":
    """The pipelines of files; ends the program if there is none."""
    if not loaded.pipelines:
        fail(f"{', '.join(files)}: no {names.KIND} in it; see manifests/samples", NEGATIVE)
    return loaded.pipelines


def fail(message: str, code: int) -> NoReturn:
    """Ends the program."""
    click.echo(message, err=True)
    sys.exit(code)


def wants_colour(environment: Mapping[str, str] = os.environ) -> bool | None:
    """False if NO_COLOR is set; None leaves it to whether the output is a terminal."""
    return False if environment.get("NO_COLOR") else None


def as_json(value: Any) -> str:
    """A result as JSON for scripts; the names of its members stay."""
    return json.dumps(value, indent=2, ensure_ascii=False)
