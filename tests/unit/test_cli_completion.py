"""What a shell completes: commands, options, files, fields, apps and contexts; by itself and through kubectl."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from llmpipeline.cli.init import starter
from llmpipeline.cli.kubectl_plugin import completions
from llmpipeline.cli.main import main


def complete(*words: str) -> list[tuple[str, str]]:
    *before, last = words
    return [(it.type, it.value) for it in ShellComplete(main, {}, "x", "").get_completions(before, last)]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/does/not/exist")


@pytest.mark.parametrize(
    "words",
    [
        ("validate", "man"),
        ("validate", "a.yaml", ""),
        ("plan", "-f", "x"),
        ("serve", "-f", "x"),
        ("render", ""),
        ("init", "chat", "x"),
        ("schema", "-o", "x"),
        ("status", "--kubeconfig", "x"),
        ("plan", "--from", "x"),
    ],
)
def test_files_are_left_to_the_shell(words: tuple[str, ...]) -> None:
    assert complete(*words) == [("file", words[-1])]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("exp",), ["explain"]),
        (("explain", "spec.a"), ["spec.apps", "spec.autoscaler"]),
        (("explain", "spec.apps.openai.models.tensor"), ["spec.apps.openai.models.tensorParallelSize"]),
        (("explain", "spec.nothing."), []),
        (("explain", "sp"), ["spec"]),
        (("init", ""), ["chat", "graph", "ab", "rag"]),
        (("plan", "--fail-on", "NewCluster,Inter"), ["NewCluster,Interruption"]),
        (("status", "--wait-for", "Ac"), ["Accepted"]),
        (("logs", "--prev"), ["--previous"]),
        # A cluster that is not there says nothing, and no error stands in the line.
        (("status", "ch"), []),
        (("logs", "chat", "ch"), []),
        (("status", "--context", "x"), []),
        (("serve", "/no/such/file", "--app", "c"), []),
    ],
)
def test_words(words: tuple[str, ...], found: list[str]) -> None:
    assert complete(*words) == [("plain", word) for word in found]


def test_the_apps_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "ab.yaml"
    file.write_text(starter("ab"))
    for files in ((str(file),), ("-f", str(file))):
        assert complete("serve", *files, "--app", "") == [("plain", it) for it in ("stable", "candidate", "front")]


def test_the_contexts_of_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = [{"name": name, "context": {"cluster": "k", "user": "u"}} for name in ("one", "two", "other")]
    (tmp_path / "config").write_text(yaml.safe_dump({"contexts": named, "current-context": "one"}))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert complete("plan", "--context", "o") == [("plain", "one"), ("plain", "other")]


def test_a_login_that_fails_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    login = {"command": "sh", "args": ["-c", "echo LOGIN >&2; exit 1"], "apiVersion": "v1"}
    config = {
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": login}}],
        "current-context": "c",
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    assert complete("status", "--kubeconfig", str(tmp_path / "config"), "ch") == []
    assert capfd.readouterr() == ("", "")


def test_a_command_that_is_misspelled() -> None:
    result = CliRunner().invoke(main, ["staus"])
    assert (result.exit_code, "Did you mean 'status'?" in result.stderr) == (2, True)


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("command", [["doctor"], ["plan", "x.yaml"], ["status"], ["validate", "x.yaml"]])
def test_ctrl_c(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(question: object, *_: object, **__: object) -> None:
        if asyncio.iscoroutine(question):
            question.close()
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(main, ["init", "chat", "x.yaml"])
    monkeypatch.setattr("asyncio.run", interrupted)
    monkeypatch.setattr("llmpipeline.cli.validate.read_files", interrupted)
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, result.stdout, "Traceback" in result.stderr) == (130, "", False)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert (result.exit_code, "_LLMPIPELINE_COMPLETE" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["explain", "spec.ray.v"], ["spec.ray.version", ":4"]),
        (["validate", ""], [":0"]),
        (["status", ""], [":4"]),
    ],
)
def test_kubectl_completes_as_well(arguments: list[str], found: list[str]) -> None:
    assert completions(arguments) == found


def test_kubectl_gets_commands_with_what_they_do() -> None:
    lines = completions([])
    assert lines[-1] == completions(["nothing", "x", "--y", ""])[-1] == ":4"
    assert any(line.startswith("doctor\tReport whether") for line in lines)


def test_the_plugin_goes_by_its_own_name() -> None:
    script = "from llmpipeline.cli.kubectl_plugin import main; main()"
    done = subprocess.run([sys.executable, "-c", script, "plan", "-h"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: kubectl llmp plan [OPTIONS] [FILE]...")


def test_a_command_imports_what_it_needs_alone() -> None:
    """`init` starts without the models of the resource, and nothing starts with the client for a cluster."""
    script = (
        "import sys; from click.testing import CliRunner; from llmpipeline.cli.main import main;"
        "ran = CliRunner().invoke(main, sys.argv[1:]); assert ran.exit_code == 0, ran.output;"
        "print([it for it in ('pydantic', 'kubernetes', 'aiohttp', 'kopf', 'ray') if it in sys.modules])"
    )
    for arguments, expected in ((["init", "chat"], []), (["--help"], ["pydantic"]), (["explain"], ["pydantic"])):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
        assert done.stdout.strip() == str(expected), done.stderr
