"""What `llmpipeline validate` refuses, and how it says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.cli.kubectl_yaml import nodes_of, value_of
from llmpipeline.cli.main import main
from support.pipelines import desired_of, says
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
    ("change", "says"),
    [
        ({"min_replicas": 1}, "min_replicas: unknown field; did you mean minReplicas?"),
        ({"maxOngoingRequest": 1}, "maxOngoingRequest: unknown field; did you mean maxOngoingRequests?"),
    ],
)
def test_fields_have_one_spelling(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    document = sample()
    document["spec"]["apps"][0]["hello"] = {"autoscaling": {"maxReplicas": 2, **change}} if "min" in says else change
    assert says in validate(yaml.safe_dump(document), tmp_path).stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"foo": "bar"}, ":1: foo: unknown field; known here: apiVersion, kind, metadata, spec"),
        ({"metadata": {"annotation": {}}}, "metadata.annotation: unknown field; did you mean annotations?"),
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels.a: must be a string (put it in quotes), not 1"),
        ({"metadata": {"labels": {"a b": "c"}}}, "metadata.labels.a b: 'a b' cannot be a key; write letters"),
        ({"metadata": {"labels": {"a": "b c"}}}, "metadata.labels.a: 'b c' cannot be the value of a label; write"),
        ({"metadata": {"annotations": {"a/b/c": ""}}}, "metadata.annotations.a/b/c: 'a/b/c' cannot be a key"),
        ({"metadata": {"annotations": {"a": "x" * 2**18}}}, "metadata.annotations: has more than 256 KiB"),
        ({"metadata": {"finalizers": ["a b"]}}, "metadata.finalizers[0]: 'a b' cannot be a key"),
        ({"metadata": {"namespace": "My_NS"}}, "metadata.namespace: 'My_NS' cannot be the name of a namespace"),
        ({"metadata": {"creationTimestamp": "today"}}, 'metadata.creationTimestamp: "today" does not match'),
        ({"metadata": {"ownerReferences": [{"kind": "Pod"}]}}, "metadata.ownerReferences[0].uid: is required"),
    ],
)
def test_the_object_itself(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    document = sample()
    document["metadata"] |= change.pop("metadata", {})
    result = validate(yaml.safe_dump({**change, **document}, sort_keys=False), tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert says in result.stderr


def test_metadata_of_a_cluster_is_accepted(tmp_path: Path) -> None:
    document = sample()
    document["metadata"] |= {
        "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 3, "resourceVersion": "7", "uid": "0-1",
        "labels": {"app.kubernetes.io/name": "a", "empty": None}, "annotations": {"example.com/Text": "a b\n"},
        "finalizers": ["example.com/a"], "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b", "controller": True}],
    }  # fmt: skip
    document["status"] = {"ofAnotherVersion": 1}
    assert validate(yaml.safe_dump(document), tmp_path).exit_code == 0


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("hello:", "spec.apps[0]: give exactly one of"),
        ("hello:", "; hello is empty: write hello: {} for an object without fields"),
        ("hello: {replicas: null, resources: {cpus: 500m}}", ""),
        ("openai: {models: }", "spec.apps[0].openai.models: is empty; give it a value"),
        ("openai: {models: []}", "spec.apps[0].openai.models: is empty; give at least one item"),
        ("hello: {resources: {cpus: 0.5}}", "cpus: must be an integer or a string, not 0.5; write 500m"),
        ("hello: {replicas: 1e0}", ""),
        ("hello: {replicas: 1.5}", "spec.apps[0].hello.replicas: must be an integer, not 1.5"),
        ("hello: {message: y}", "spec.apps[0].hello.message: must be a string (put it in quotes), not true"),
    ],
)
def test_what_yaml_makes_of_it(app: str, says: str, tmp_path: Path) -> None:
    text = yaml.safe_dump(sample(), sort_keys=False).replace("hello: {}", app)
    result = validate(text, tmp_path)
    if says:
        (line,) = result.stderr.splitlines()
        assert says in line
    else:
        assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("change", [{"kind": "LLMPipelines"}, {"kind": "llmpipeline"}, {"kind": "Pipeline"}])
def test_a_kind_that_is_nearly_ours(change: dict[str, str], tmp_path: Path) -> None:
    text = yaml.safe_dump_all([sample(), sample() | change])
    result = validate(text, tmp_path)
    assert result.exit_code == 1
    assert f"kind: there is no kind {change['kind']}; write LLMPipeline" in result.stderr


def test_an_engine_argument_is_the_number_that_kubectl_sends() -> None:
    (node,) = nodes_of("{rope_theta: 1e6, max_num_seqs: 0o17, scale: 1.0, time: 12:30:45}")
    assert node is not None
    document = sample()
    model = document["spec"]["apps"][1]["openai"]["models"][0]
    model["engine"] = {"extra": value_of(node)}
    config = yaml.safe_load(desired_of(document).service["spec"]["serveConfigV2"])
    arguments = next(app for app in config["applications"] if app["name"] == "chat")["args"]["llm_configs"][0]
    rendered = {key: arguments["engine_kwargs"][key] for key in model["engine"]["extra"]}
    # By way of JSON: 1 and 1.0 are equal in Python.
    assert json.dumps(rendered) == '{"rope_theta": 1000000, "max_num_seqs": 15, "scale": 1, "time": "12:30:45"}'


MODEL = "spec.apps[1].openai.models[0]"


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"accelerator": {"type": "l4"}}, "did you mean L4?"),
        ({"accelerator": {"type": "L40s"}}, "did you mean L40S?"),
        ({"accelerator": {"type": "nvidia-l4"}}, "did you mean L4?"),
        ({"accelerator": {"type": "Tesla T4"}}, "write it in capitals, like L40S"),
        ({"accelerator": {"type": "b300"}}, "did you mean B300?"),
        ({"source": {"path": "hf://a/b"}}, "write a model of the Hugging Face hub like uri: hf://Qwen/Qwen3-8B"),
        ({"source": {"uri": "https://huggingface.co/a/b"}}, "of the Hugging Face hub like uri: hf://Qwen/Qwen3-8B"),
        ({"source": {"uri": "pvc://A"}}, "like hf://Qwen/Qwen3-8B, pvc://claim/folder or s3://bucket/folder"),
        ({"huggingFace": {}}, "huggingFace is a field of source"),
        ({"gpus": 1}, "gpus is a field of resources"),
        ({"minReplicas": 1}, "use autoscaling.minReplicas"),
        ({"engine": {"quantization": "fp8"}}, "put it into extra, by the name that vLLM has for it"),
        ({"model_cache": {}}, "modelCache is a field of spec.ray"),
        ({"nodeSelector": {}}, "nodeSelector is a field of spec.head, spec.workerDefaults, spec.workers[]"),
        ({"storageUri": "s3://a/b"}, "use source"),
    ],
)
def test_the_remedy_names_what_was_meant(change: dict[str, Any], remedy: str) -> None:
    document = sample()
    document["spec"]["apps"][1]["openai"]["models"][0] |= change
    problems = parse(document)
    assert isinstance(problems, list)
    assert str(problems[0]).endswith(remedy)


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("ray", {"version": "v2.60.0"}, "write it like 2.60.0, the version in the image"),
        ("head", {"replicas": 2}, "known here: nodeSelector, tolerations"),
        ("ray", {"environment": []}, "use spec.ray.env"),
        ("ray", {"env": [{"name": "A", "secretKeyRef": {}}]}, "secretKeyRef is a field of valueFrom"),
    ],
)
def test_a_remedy_is_not_a_guess(part: str, change: dict[str, Any], says: str) -> None:
    document = sample()
    document["spec"].setdefault(part, {}).update(change)
    problems = parse(document)
    assert isinstance(problems, list)
    assert says in str(problems[0])


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
