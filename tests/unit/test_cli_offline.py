"""The commands that need no cluster and no Ray: `init`, `schema`, `explain`, and how files are named."""

import json
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from llmpipeline.api.accelerator import BUILT_IN
from llmpipeline.api.fields import Field, find, root, walk
from llmpipeline.api.json_schema import json_schema
from llmpipeline.cli.init import KINDS, starter
from llmpipeline.cli.main import main
from llmpipeline_serve import templates
from llmpipeline_serve.contract.graph import MessageSettings
from llmpipeline_serve.graph.messages import Messages
from support.repository import SAMPLES
from support.wrong_specs.specs import sample

VALIDATOR = jsonschema.Draft7Validator(json_schema())


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=given, catch_exceptions=False)


# init


@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_is_valid_and_commented(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    result = run("init", kind, str(file), "--name", "mine")
    assert (result.exit_code, result.stdout) == (0, "")
    validated = run("validate", str(file))
    assert (validated.exit_code, "mine is valid" in validated.stdout) == (0, True), validated.output
    assert "note" not in validated.stderr
    text = file.read_text()
    assert f"llmpipeline validate {file}" in text
    assert f" {kind}.yaml" not in text
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text))) == []
    assert max(map(len, starter(kind).splitlines())) <= 120


def test_a_starter_goes_to_standard_output() -> None:
    result = run("init", "chat")
    assert (result.exit_code, result.stderr) == (0, "")
    assert run("validate", "-", given=result.stdout).exit_code == 0


def test_a_file_is_overwritten_by_force_alone(tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text("mine\n")
    result = run("init", "chat", str(file))
    assert (result.exit_code, "pass --force" in result.stderr, file.read_text()) == (1, True, "mine\n")
    assert run("init", "chat", str(file), "--force").exit_code == 0
    assert "kind: LLMPipeline" in file.read_text()


@pytest.mark.parametrize("name", ["Chat", "", "a" * 48, "1a", "a-", "a b", "a\nb"])
def test_a_name_that_no_pipeline_can_have(name: str) -> None:
    assert run("init", "chat", "--name", name).exit_code == 2


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    for command in (["init", "chat", str(tmp_path / "no" / "x")], ["schema", "-o", str(tmp_path / "no" / "x")]):
        result = run(*command)
        assert (result.exit_code, "cannot be written: No such file" in result.stderr) == (1, True)


def test_the_messages_are_made_of_what_the_search_answers() -> None:
    """What `http` returns is in `body`; the loop and its index are in the subset of Jinja2."""
    nodes = yaml.safe_load(starter("rag"))["spec"]["apps"][0]["graph"]["nodes"]
    chat = [{"role": "user", "content": str(number)} for number in range(9)]
    values: dict[str, Any] = {
        "request": {"messages": chat},
        "question": {"embedding": [0.5]},
        "search": {"status": 200, "body": {"result": {"points": [{"payload": {"text": "because"}}]}}},
    }
    first, *rest = Messages([MessageSettings(**one) for one in nodes[2]["generate"]["messages"]])(values)
    assert "Passage 1: because" in first["content"]
    assert rest == chat[-5:]
    body = templates.expression(nodes[1]["input"])(values)
    assert body == {"query": [0.5], "limit": 4, "with_payload": True}


# schema


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_an_editor_finds_nothing_wrong_with_a_sample(file: Path) -> None:
    for document in filter(None, yaml.safe_load_all(file.read_text())):
        if document["kind"] == "LLMPipeline":
            assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda it: it.update(foo=1), "'foo' was unexpected"),
        (lambda it: it["metadata"].update(annotation={}), "'annotation' was unexpected"),
        (lambda it: it["metadata"].update(labels={"a": 1}), "1 is not of type 'string'"),
        (lambda it: it["spec"]["apps"][0].update(route_prefix="/"), "'route_prefix' was unexpected"),
        (lambda it: it["spec"]["apps"][0]["hello"].update(replicas="two"), "'two' is not of type 'integer'"),
        (lambda it: it["spec"]["ray"].update(performance="Fast"), "'Fast' is not one of"),
        (lambda it: it["spec"].pop("apps"), "'apps' is a required property"),
        (lambda it: it.update(kind="LLMPipelines"), "'LLMPipelines' is not one of"),
        (lambda it: it.pop("apiVersion"), "'apiVersion' is a required property"),
    ],
)
def test_an_editor_marks_what_the_api_server_would_reject(change: Any, says: str) -> None:
    document = sample()
    assert list(VALIDATOR.iter_errors(document)) == []
    change(document)
    assert [says in error.message for error in VALIDATOR.iter_errors(document)] == [True]


def test_quantities_are_integers_or_strings() -> None:
    for cpus, right in ((1, True), ("500m", True), (0.5, False), ([], False)):
        document = sample()
        document["spec"]["apps"][0]["hello"]["resources"] = {"cpus": cpus}
        assert VALIDATOR.is_valid(document) == right, cpus


def test_an_editor_offers_the_built_in_gpu_types_and_takes_others() -> None:
    model = json_schema()["properties"]["spec"]["properties"]["apps"]["items"]["properties"]["openai"]["properties"]
    kind = model["models"]["items"]["properties"]["accelerator"]["properties"]["type"]
    assert kind["anyOf"][0]["enum"] == list(BUILT_IN)
    for name, right in (("L4", True), ("B300", True), ("l4", False), (4, False)):
        document = sample()
        document["spec"]["apps"][1]["openai"]["models"][0]["accelerator"] = {"type": name}
        assert VALIDATOR.is_valid(document) == right, name


def test_the_schema_is_a_schema_of_standard_keywords(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    assert run("schema", "-o", str(file)).exit_code == 0
    schema = json.loads(file.read_text())
    assert schema == json.loads(run("schema").stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    assert "x-kubernetes" not in file.read_text()
    # CEL rules, which an editor cannot check, stand where it shows them.
    assert "- give replicas or autoscaling, not both" in file.read_text()


# explain


@pytest.mark.parametrize(
    ("field", "lines"),
    [
        ("", ["spec <object>  required", "metadata <object>"]),
        ("spec.apps.openai.models", ["name <string>  required", "tensorParallelSize <integer>  default 1; 1 to 64"]),
        ("spec.apps[0].openai.models[].name", ["<string>  required", "The model ID that clients send."]),
        ("llmp.spec.ray.performance", ["<Optimized | Plain>  default Optimized"]),
        ("LLMPipeline.spec.apps.hello.resources.cpus", ["<quantity>"]),
        ("spec.apps.custom.args", ["<any object>"]),
        ("spec.ray.env", ["<list of objects>", "at most 128 items"]),
    ],
)
def test_a_field_is_explained(field: str, lines: list[str]) -> None:
    result = run("explain", field)
    assert result.exit_code == 0
    for line in lines:
        assert line in result.stdout


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("spec.aps", "did you mean spec.apps?"),
        ("spec.apps.openai.models.acelerator", "did you mean spec.apps.openai.models.accelerator?"),
        ("models", "did you mean spec.apps.openai.models?"),
        ("hello.message", "did you mean spec.apps.hello.message?"),
        ("spec.apps.openai.models.minReplicas", "did you mean spec.apps.openai.models.autoscaling.minReplicas"),
        ("spec.apps.openai.models.max_model_len", "use engine.maxModelLength"),
        ("headGroupSpec", "use spec.head"),
        ("zzz", "known here: apiVersion, kind, metadata, spec, status"),
        ("spec.ray.zzz", "known here: version, image"),
    ],
)
def test_an_unknown_field_suggests_the_nearest(field: str, meant: str) -> None:
    result = run("explain", field)
    assert (result.exit_code, result.stdout, meant in result.stderr) == (1, "", True), result.stderr


def test_every_field_is_found_by_its_path_and_explained() -> None:
    paths = [field.path for field in walk(root())]
    assert len(paths) > 300
    for path in paths:
        found = find(path)
        assert isinstance(found, Field)
        assert (found.path, bool(found.type)) == (path, True)
        assert found.description or path in ("apiVersion", "kind"), path


def test_recursive_lists_all_below() -> None:
    lines = run("explain", "spec.ray", "--recursive").stdout.splitlines()
    assert lines[0].split() == ["spec.ray.version", "string"]
    assert "spec.ray.env.valueFrom.secretKeyRef.name" in [line.split()[0] for line in lines]


# Files and namespaces


def test_files_are_arguments_options_or_both(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        run("init", "chat", str(tmp_path / name / "x.yaml"), "--name", name)
    a, b, c = (str(tmp_path / name) for name in ("a", "b", "c"))
    for arguments in ((a, f"{b}/x.yaml", c), ("-f", a, b, c), ("-f", a, "-f", b, c), (a, b, "-f", c)):
        result = run("validate", *arguments)
        assert (result.exit_code, result.stdout.count("is valid")) == (0, 3), result.output


def test_a_pipeline_that_replaces_another_is_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("init", "chat", str(tmp_path / f"{name}.yaml"), "--name", "chat")
    result = run("validate", str(tmp_path))
    assert result.exit_code == 0
    assert f"{tmp_path}/b.yaml: chat: {tmp_path}/a.yaml has a pipeline of this name too" in result.stderr
    other = yaml.safe_load((tmp_path / "a.yaml").read_text())
    other["metadata"]["namespace"] = "other"
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(other))
    assert "of this name" not in run("validate", str(tmp_path)).stderr


@pytest.mark.parametrize("command", ["validate", "render", "plan", "serve"])
def test_a_command_without_files(command: str) -> None:
    result = run(command)
    assert (result.exit_code, "name a FILE" in result.stderr) == (2, True)


def test_standard_input_is_read_once() -> None:
    for arguments in (["validate", "-", "-f", "-"], ["plan", "-", "--from", "-"]):
        result = run(*arguments, given="")
        assert (result.exit_code, "standard input (-) can be read once" in result.stderr) == (2, True)


@pytest.mark.parametrize(("own", "expected"), [(None, "ml"), ("search", "search")])
def test_the_namespace_is_that_of_files_without_one(own: str | None, expected: str) -> None:
    document = sample()
    document["metadata"].pop("namespace", None)
    if own:
        document["metadata"]["namespace"] = own
    result = run("render", "-n", "ml", "-", given=yaml.safe_dump(document))
    assert {it["metadata"]["namespace"] for it in yaml.safe_load_all(result.stdout)} == {expected}
    assert run("validate", "-n", "ml", "-", given=yaml.safe_dump(document)).exit_code == 0


@pytest.mark.parametrize("command", ["validate x", "render x", "plan x", "status x", "open x", "logs x", "doctor"])
def test_a_namespace_that_cannot_be(command: str) -> None:
    result = run(*command.split(), "-n", "../kube-system")
    assert (result.exit_code, "cannot be the name of a namespace" in result.stderr) == (2, True)


def test_a_plan_from_files_takes_the_namespace_for_both(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(starter("chat"))
    result = run("plan", "-n", "ml", "-", "--from", str(old), "-o", "json", given=starter("chat"))
    assert [(edit["namespace"], edit["name"]) for edit in json.loads(result.stdout)] == [("ml", "chat")]


def test_render_as_json_is_what_it_is_as_yaml() -> None:
    found = json.loads(run("render", "-o", "json", "-", given=starter("chat")).stdout)
    assert (found["apiVersion"], found["kind"]) == ("v1", "List")
    assert found["items"] == list(yaml.safe_load_all(run("render", "-", given=starter("chat")).stdout))


def test_summaries_are_whole_at_80_columns() -> None:
    result = CliRunner().invoke(main, ["--help"], terminal_width=80)
    text = " ".join(result.stdout.partition("Commands:")[2].split())
    assert "..." not in text
    assert "Print the script that completes commands and options in a shell." in text


def test_every_command_has_examples() -> None:
    for name in main.list_commands(click.Context(main)):
        assert "Examples:" in run(name, "--help").stdout, name
