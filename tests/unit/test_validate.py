"""What `llmpipeline validate` refuses, and how it says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.cli.main import main
from support.pipelines import says
from support.wrong_specs.cluster import CLUSTER_CASES
from support.wrong_specs.specs import CASES, Case, sample


def validate(text: str | bytes, tmp_path: Path, *options: str) -> Result:
    file = tmp_path / "pipeline.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return CliRunner().invoke(main, ["validate", "-f", str(file), *options])


def test_the_sample_is_valid() -> None:
    assert isinstance(parse(sample()), LLMPipeline)


@pytest.mark.parametrize("case", [*CASES, *CLUSTER_CASES], ids=lambda case: case.name)
def test_refused_with_file_line_and_field(case: Case, tmp_path: Path) -> None:
    document = sample()
    case.wrong(document)
    result = validate(yaml.safe_dump(document, sort_keys=False), tmp_path)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if f": {case.field}: " in line]
    assert case.says in line
    file, number, _ = line.split(":", 2)
    assert file.endswith("pipeline.yaml")
    assert 1 < int(number) < 60


@pytest.mark.parametrize("case", [*CASES, *CLUSTER_CASES], ids=lambda case: case.name)
def test_accepted_when_made_right(case: Case, tmp_path: Path) -> None:
    document = sample()
    case.right(document)
    parsed = parse(document)
    assert isinstance(parsed, LLMPipeline), parsed


def test_the_line_is_the_fields_own(tmp_path: Path) -> None:
    text = yaml.safe_dump(sample(), sort_keys=False).replace("hello: {}", "hello:\n      colour: blue")
    result = validate(text, tmp_path)
    number = next(i for i, line in enumerate(text.splitlines(), start=1) if "colour" in line)
    assert f"pipeline.yaml:{number}: spec.apps[0].hello.colour: unknown field" in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        ("a: [1, 2", "not YAML"),
        ("a: b: c", "not YAML"),
        ("\x00", "not YAML"),
        ("- 1\n- 2\n", "must be an object"),
        ("just text", "must be an object"),
        ("", "no LLMPipeline in it"),
        ("kind: ConfigMap\n", "no LLMPipeline in it"),
        ("kind: LLMPipeline\n", "apiVersion: is required"),
        ("kind: LLMPipeline\nkind: LLMPipeline\n", "appears twice"),
        ("kind: LLMPipeline\nspec: 3\n", "spec: must be an object"),
        ("? [a]\n: b\n", "a key must be a string"),
        ("<<: 3\n", "<< takes an object"),
        ("<<: [1]\n", "<< takes an object"),
        ("kind: !!bool maybe\n", "is not of type bool"),
        ('kind: !!int ""\n', "is not of type int"),
        ("# nothing\n---\n", "no LLMPipeline in it"),
        ("[" * 5000, ""),
        ("{a: " * 200 + "1" + "}" * 200, "nested too deep"),
        (
            "kind: LLMPipeline\na: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(7)),
            "aliases blow it up",
        ),
    ],
)
def test_a_malformed_file_gives_a_sentence(text: str | bytes, says: str, tmp_path: Path) -> None:
    result = validate(text, tmp_path)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_merge_keys_and_empty_documents_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    text = "---\n# empty\n---\n" + yaml.safe_dump(sample(), sort_keys=False).replace(
        "hello: {}", "hello: {<<: {message: hi, replicas: 1}, replicas: 2}"
    )
    result = validate(text + "---\n", tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")


def test_one_mistake_is_said_once(tmp_path: Path) -> None:
    document = sample()
    document["spec"]["apps"] = [{"name": "x", "hello": {"replicas": "2"}}]
    assert len(validate(yaml.safe_dump(document), tmp_path).stderr.splitlines()) == 1


def test_a_missing_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["validate", "-f", str(tmp_path / "none.yaml")])
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr


def test_json_names_the_field(tmp_path: Path) -> None:
    document = sample()
    document["spec"]["aps"] = 1
    (problem,) = json.loads(validate(yaml.safe_dump(document), tmp_path, "-o", "json").stdout)
    assert (problem["field"], problem["reason"]) == ("spec.aps", "InvalidSpec")


def test_what_only_the_plan_sees(tmp_path: Path) -> None:
    document = sample()
    model = document["spec"]["apps"][1]["openai"]["models"][0]
    model |= {"tensorParallelSize": 4, "engine": {"extra": {"max_model_len": 5}}}
    document["spec"]["workers"] = [{"name": "l4", "maxReplicas": 1, "accelerator": {"type": "L4", "count": 2}}]
    found = says(document)
    assert found[0].startswith("spec.apps[1].openai.models[0].engine.extra.max_model_len: ")
    assert "use engine.maxModelLength" in found[0]
    assert "app chat, model tiny: one replica needs 4 L4 GPUs" in found[1]
    assert "group l4 has 2 L4 GPUs" in found[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serviceUnhealthySecondThreshold": 300}, "KubeRay ignores it; use healthCheck"),
        ({"rayClusterConfig": {}}, "use spec.ray, spec.head and spec.workers"),
    ],
)
def test_names_that_people_know_from_elsewhere(change: dict[str, Any], message: str) -> None:
    document = sample()
    document["spec"] |= change
    problems = parse(document)
    assert isinstance(problems, list)
    assert message in str(problems[0])


def test_what_can_work_and_may_surprise_is_told(tmp_path: Path) -> None:
    document = sample()
    document["spec"]["ray"]["version"] = "2.61.0"
    document["spec"]["disruption"] = {"minAvailableWorkers": 9}
    told = validate(yaml.safe_dump(document), tmp_path)
    assert told.exit_code == 0
    assert "newer than 2.60" in told.stderr
    assert "none of their nodes can be drained" in told.stderr


@pytest.mark.parametrize(
    "name", ["a" * 5000, "a\ud800b".encode(errors="surrogatepass").decode(errors="surrogateescape")]
)
def test_a_file_with_a_strange_name(name: str) -> None:
    result = CliRunner().invoke(main, ["validate", name])
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)


def test_a_folder_with_another_that_cannot_be_read(tmp_path: Path) -> None:
    """As below /proc, where the system says anything."""
    (tmp_path / "b.yaml").write_text("kind: LLMPipeline")
    (tmp_path / "loop").symlink_to(tmp_path)
    result = CliRunner().invoke(main, ["validate", str(tmp_path), "/proc/self/task"])
    assert (result.exit_code, "b.yaml:1: apiVersion: is required" in result.stderr) == (1, True)
