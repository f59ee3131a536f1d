"""The commands, and what they share: results to standard output, problems to standard error, exit codes."""

import sys
from typing import Any, NoReturn

import click

from llmpipeline import __version__

# Exit codes, beside 0 (done) and click's own 2 (wrong usage).
WRONG_INPUT = 1
UNREACHABLE = 3

_FILES = click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="A file, a folder, or - for standard input. May be given several times.",
)


class _Verbatim(click.Command):
    """A command whose examples keep their lines."""

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            with formatter.section("Examples"):
                formatter.write(f"{self.epilog.rstrip()}\n")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="llmpipeline")
def main() -> None:
    """Serve LLM pipelines with Ray, on Kubernetes and on this machine."""


@main.command(
    cls=_Verbatim,
    epilog="  llmpipeline render -f manifests/samples/quickstart.yaml\n"
    "  kubectl get llmp reviews -o yaml | llmpipeline render -f -\n",
)
@_FILES
def render(files: tuple[str, ...]) -> None:
    """Print the manifests that the operator would apply. No cluster is asked.

    The owner reference holds the pipeline's UID, which only a cluster gives: render one read from there to see it.
    """
    from llmpipeline.cli.output import manifests_as_yaml
    from llmpipeline.render.manifests import manifests

    rendered = [manifest for read in _sound(files) for manifest in manifests(read.pipeline, read.plan)]
    click.echo(manifests_as_yaml(rendered), nl=False)


@main.command(
    cls=_Verbatim,
    epilog="  llmpipeline validate -f pipeline.yaml\n  llmpipeline validate -f manifests/ -o json\n",
)
@_FILES
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def validate(files: tuple[str, ...], output: str) -> None:
    """Say all that the API server and the operator would refuse. No cluster is asked."""
    from llmpipeline.cli.documents import read_pipelines
    from llmpipeline.cli.output import problems_as_json

    sound, problems = read_pipelines(files)
    if output == "json":
        click.echo(problems_as_json(problems))
    else:
        for found in problems:
            click.echo(str(found), err=True)
        for read in sound:
            least, most = read.plan.gpus
            gpus = f"{least} to {most} GPUs" if least != most else "1 GPU" if least == 1 else f"{least} GPUs"
            apps = ", ".join(app.name for app in read.pipeline.spec.apps)
            click.echo(f"{read.file}: {read.pipeline.metadata.name} is valid: apps {apps}; {gpus}")
            for note in read.plan.notes:
                click.echo(f"{read.file}: {read.pipeline.metadata.name}: {note}", err=True)
    if problems:
        sys.exit(WRONG_INPUT)


@main.command(
    cls=_Verbatim,
    epilog="  llmpipeline plan -f pipeline.yaml\n"
    "  git show HEAD:pipeline.yaml | llmpipeline plan -f pipeline.yaml --from - -o json\n",
)
@_FILES
@click.option("--from", "former", metavar="OLD", help="What it is compared with. Default: what the cluster runs.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def plan(files: tuple[str, ...], former: str | None, output: str) -> None:
    """Say what applying pipelines would do to requests and GPUs. Nothing is changed.

    A pipeline is compared with itself in OLD, which is a file, a folder, or - for standard input; else with its
    RayService in the cluster of the kubeconfig (KUBECONFIG), where the file names no namespace in that of the context.
    The exit code is 3 where the cluster cannot be reached.
    """
    from llmpipeline.cli.connection import Unreachable
    from llmpipeline.cli.output import wants_colour
    from llmpipeline.cli.plan import as_json, as_table, edits_from_cluster, edits_from_files

    wanted = _sound(files)
    try:
        edits = edits_from_files(wanted, _sound((former,))) if former else edits_from_cluster(wanted)
    except Unreachable as unreachable:
        _fail(str(unreachable), UNREACHABLE)
    click.echo(as_json(edits) if output == "json" else as_table(edits), color=wants_colour())


@main.command(
    cls=_Verbatim,
    epilog="  llmpipeline serve -f manifests/samples/quickstart.yaml --tiny-models\n"
    "  llmpipeline serve -f pipeline.yaml --tiny-models --check\n",
)
@_FILES
@click.option(
    "--tiny-models", is_flag=True, help="Swap every model for a tiny random one made here; nothing is loaded."
)
@click.option("--check", is_flag=True, help="Ask every app one question, print the answers and stop.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to serve on.")
def serve(files: tuple[str, ...], tiny_models: bool, check: bool, port: int) -> None:
    """Serve a pipeline on this machine, with Ray started here and stopped with it.

    Ray gets the very Serve config that the cluster would get. Where this machine has no GPU, models run on the CPU.
    """
    from llmpipeline.cli.local import run_locally

    sound = _sound(files)
    if len(sound) != 1:
        _fail(f"serve takes one pipeline, and there are {len(sound)}: name one file", WRONG_INPUT)
    run_locally(sound[0].pipeline, sound[0].plan, tiny_models=tiny_models, check=check, port=port)


@main.command(
    cls=_Verbatim,
    epilog="  llmpipeline operator\n  llmpipeline operator --namespace ml --namespace search\n"
    "  llmpipeline operator --lease-namespace llmpipeline-system --health-port 8080\n",
)
@click.option("--namespace", "namespaces", multiple=True, help="Watch this namespace only. May be given several times.")
@click.option(
    "--lease-namespace",
    default="",
    metavar="NAMESPACE",
    help="Of several operators one works: by a Lease in NAMESPACE.",
)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Answer /healthz, /readyz and /metrics on this port. Default: on none.",
)
@click.option("--verbose", is_flag=True, help="Log what kopf and the client do, too.")
def operator(namespaces: tuple[str, ...], lease_namespace: str, health_port: int, verbose: bool) -> None:
    """Run the operator: turn every LLMPipeline into a RayService, and keep it so.

    The cluster is the one of the kubeconfig (KUBECONFIG) or, in a Pod, its own.
    """
    from llmpipeline.cli.operator import run

    problem = run(namespaces, lease_namespace=lease_namespace, health_port=health_port, verbose=verbose)
    if problem:
        _fail(problem, UNREACHABLE)


@main.command(
    cls=_Verbatim,
    epilog="  llmpipeline doctor\n"
    "  llmpipeline doctor --namespace ml -o json\n"
    "  llmpipeline doctor --as system:serviceaccount:llmpipeline-system:llmpipeline-operator\n",
)
@click.option("-n", "--namespace", help="Ask whether pipelines can run in this namespace alone. Default: all.")
@click.option("--as", "user", metavar="USER", help="Ask for this user's rights, like the operator's service account.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def doctor(namespace: str | None, user: str | None, output: str) -> None:
    """Say whether this cluster can run pipelines, and what to do where it cannot. Nothing is changed.

    The cluster is the one of the kubeconfig (KUBECONFIG) or, in a Pod, its own. The exit code is 1 where there is a
    problem, and 3 where the cluster cannot be reached.
    """
    from llmpipeline.cli.connection import Unreachable
    from llmpipeline.cli.doctor import as_json, as_table, examine
    from llmpipeline.cli.output import wants_colour

    try:
        found = examine(namespace, user)
    except Unreachable as unreachable:
        _fail(str(unreachable), UNREACHABLE)
    click.echo(as_json(found) if output == "json" else as_table(found), color=wants_colour())
    if any(finding.verdict == "Problem" for finding in found):
        sys.exit(WRONG_INPUT)


@main.command(
    cls=_Verbatim,
    epilog="  llmpipeline status reviews\n  llmpipeline status reviews -n ml --watch\n"
    "  llmpipeline status reviews --wait 600 && curl ...\n",
)
@click.argument("name")
@click.option("-n", "--namespace", help="The pipeline's namespace. Default: that of the kubeconfig's context.")
@click.option("-w", "--watch", is_flag=True, help="Show it anew whenever it changes, until Ctrl-C.")
@click.option("--wait", "seconds", type=click.IntRange(1), help="Wait so many seconds at most for the condition.")
@click.option(
    "--wait-for",
    "condition",
    type=click.Choice(["Accepted", "Applied", "Ready"]),
    default="Ready",
    show_default=True,
    help="The condition that must be true for exit code 0.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def status(name: str, namespace: str | None, watch: bool, seconds: int | None, condition: str, output: str) -> None:
    """Say what works of a pipeline, what does not, and why.

    Exits with 0 where it is ready (or what --wait-for says), with 1 where it is not or there is none.
    """
    from llmpipeline.cli.connection import Unreachable
    from llmpipeline.cli.output import wants_colour
    from llmpipeline.cli.status import as_json, as_text, follow, is_true
    from llmpipeline.cluster import default_namespace

    namespace = namespace or default_namespace()
    last = None
    try:
        for last in follow(namespace, name, condition, watch=watch, seconds=seconds):
            if last is None:
                _fail(f"there is no pipeline {name} in namespace {namespace}", WRONG_INPUT)
            click.echo(as_json(last) if output == "json" else as_text(last), color=wants_colour())
    except Unreachable as unreachable:
        _fail(str(unreachable), UNREACHABLE)
    except KeyboardInterrupt:
        sys.exit(0)
    if not (last and is_true(last, condition)):
        sys.exit(WRONG_INPUT)


@main.command(cls=_Verbatim, epilog='  eval "$(llmpipeline completion bash)"\n  llmpipeline completion fish | source\n')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in a shell."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(main, {}, "llmpipeline", "_LLMPIPELINE_COMPLETE").source())


def _sound(files: tuple[str, ...]) -> Any:
    """The pipelines of these files; ends the program where one has a problem."""
    from llmpipeline.cli.documents import read_pipelines

    sound, problems = read_pipelines(files)
    if problems:
        _fail("\n".join(str(found) for found in problems), WRONG_INPUT)
    return sound


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
