"""`llmpipeline plan`: what applying a pipeline would change, told before it is done."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from llmpipeline.cli.main import main
from llmpipeline.cluster.errors import RequestRejected, Unreachable
from support.pipelines import Document
from support.plan_command import Change, changed, more_replicas, other_image, pipeline, plan, runs


@pytest.mark.parametrize(
    ("change", "row", "field"),
    [
        ([], ["reviews", "Unchanged", "1-3", "-"], None),
        ([other_image], ["reviews", "NewCluster", "1-3", "+1 L4"], 'spec.ray.image: "serve:2.60.0" -> "serve:other"'),
        (
            [more_replicas],
            ["reviews", "LivePatch", "1-3 -> 1-9", "-"],
            "spec.apps[chat].openai.models[qwen].autoscaling.maxReplicas: 2 -> 8",
        ),
        ([other_image, more_replicas], ["reviews", "NewCluster", "1-3 -> 1-9", "+1 L4"], "spec.ray.image: "),
    ],
    ids=["nothing", "new cluster", "live patch", "both"],
)
def test_from_a_file(tmp_path: Path, change: list[Change], row: list[str], field: str | None) -> None:
    result = plan(tmp_path, [changed(*change)], [pipeline()])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["NAME", "EFFECT", "GPUS", "EXTRA", "GPUS"]
    assert [cell.strip() for cell in lines[1].split("  ") if cell.strip()] == row
    assert lines[3] == "reviews:"
    assert field is None or any(field in line for line in lines[4:])


def test_a_pipeline_that_was_not_there_is_created(tmp_path: Path) -> None:
    result = plan(tmp_path, [pipeline()], [pipeline("other")])
    assert "Create" in result.stdout
    assert "0 -> 1-3" in result.stdout


def test_several_pipelines_and_namespaces(tmp_path: Path) -> None:
    new = [changed(other_image), pipeline(namespace="search")]
    result = plan(tmp_path, new, [pipeline(), pipeline(namespace="search")])
    rows = [line.split() for line in result.stdout.splitlines()[1:3]]
    assert [row[:2] for row in rows] == [["ml/reviews", "NewCluster"], ["search/reviews", "Unchanged"]]


def test_json(tmp_path: Path) -> None:
    result = plan(tmp_path, [changed(more_replicas)], [pipeline()], "-o", "json")
    (edit,) = json.loads(result.stdout)
    message = edit.pop("message")
    assert "bounds of worker group" in message
    assert edit == {
        "file": str(tmp_path / "new.yaml"),
        "namespace": "ml",
        "name": "reviews",
        "effect": "LivePatch",
        "interrupts": False,
        "gpus": {
            "before": {"requested": 1, "maximum": 3},
            "after": {"requested": 1, "maximum": 9},
            "extraDuringUpdate": 0,
            "extraByType": {},
        },
        "reasons": [],
        "changes": [
            {"field": "spec.apps[chat].openai.models[qwen].autoscaling.maxReplicas", "before": 2, "after": 8},
        ],
    }


def test_long_lists_of_changes_are_cut(tmp_path: Path) -> None:
    apps = [{"name": f"hello-{number}", "hello": {"message": "a" * 60}} for number in range(14)]
    old, new = pipeline(), pipeline()
    old["spec"]["apps"] = apps
    new["spec"]["apps"] = [app | {"hello": {"message": "b" * 60}} for app in apps]
    lines = plan(tmp_path, [new], [old]).stdout.splitlines()
    assert lines[-1] == "    and 4 more"
    assert sum("hello.message: " in line for line in lines) == 10
    assert all(len(line) < 160 for line in lines if "hello.message" in line)


def test_added_and_removed_fields(tmp_path: Path) -> None:
    old, new = pipeline(), pipeline()
    old["spec"]["apps"].append({"name": "bye", "hello": {}})
    new["spec"]["ray"]["serviceAccountName"] = "ray"
    result = plan(tmp_path, [new], [old])
    assert 'spec.ray.serviceAccountName: added, "ray"' in result.stdout
    assert "spec.apps[bye]: removed" in result.stdout


def test_what_is_made_around_the_ray_cluster_is_told(tmp_path: Path) -> None:
    new = changed(lambda document: document["spec"].update(disruption={"minAvailableWorkers": 1}))
    (edit,) = json.loads(plan(tmp_path, [new], [pipeline()], "-o", "json").stdout)
    assert edit["effect"] == "Unchanged"
    assert edit["message"].startswith("Companion objects: PodDisruptionBudget reviews")
    assert "is added" in edit["message"]
    gone = plan(tmp_path, [pipeline()], [new], "-o", "json")
    assert "is removed" in json.loads(gone.stdout)[0]["message"]


def test_against_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, pipeline())
    result = plan(tmp_path, [changed(more_replicas), pipeline("second")], None, "-o", "json")
    assert result.exit_code == 0, result.output
    first, second = json.loads(result.stdout)
    assert (first["effect"], second["effect"]) == ("LivePatch", "Create")
    fields = [change["field"] for change in first["changes"]]
    assert any(field.startswith("spec.serveConfigV2.apps.chat.") for field in fields)
    assert any(field.endswith(".maxReplicas") and "workerGroupSpecs[" in field for field in fields)
    assert second["changes"] == []


def test_what_runs_already_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, pipeline())
    (edit,) = json.loads(plan(tmp_path, [pipeline()], None, "-o", "json").stdout)
    assert (edit["effect"], edit["changes"]) == ("Unchanged", [])


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (RequestRejected(403, "rayservices is forbidden"), "the cluster rejects the request: rayservices is forbidden"),
        (Unreachable("connection refused"), "the cluster cannot be reached: connection refused"),
        (TimeoutError(), "the cluster cannot be reached: it does not answer in time"),
    ],
)
def test_failures_of_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, says: str
) -> None:
    runs(monkeypatch, failure=failure)
    result = plan(tmp_path, [pipeline()], None)
    assert (result.exit_code, result.stdout) == (3, "")
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "u", "user": {}}],
}


@pytest.mark.parametrize(
    ("kubeconfig", "says"),
    [(None, "no cluster to connect to: "), (KUBECONFIG, "the cluster cannot be reached: ")],
    ids=["no kubeconfig", "nobody listens"],
)
def test_no_cluster(tmp_path: Path, kubeconfig: Document | None, says: str) -> None:
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(pipeline()))
    if kubeconfig:
        (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig))
    # A process of its own, for the client reads KUBECONFIG when it is imported.
    environment = {key: value for key, value in os.environ.items() if key != "KUBERNETES_SERVICE_HOST"}
    result = subprocess.run(
        [sys.executable, "-m", "llmpipeline", "plan", "-f", str(tmp_path / "pipeline.yaml")],
        env={**environment, "KUBECONFIG": str(tmp_path / "config")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.splitlines()[-1].startswith(says)


@pytest.mark.parametrize("wrong", ["new", "old"])
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, wrong: str) -> None:
    bad = pipeline()
    bad["spec"]["colour"] = "blue"
    pair = ([bad], [pipeline()]) if wrong == "new" else ([pipeline()], [bad])
    result = plan(tmp_path, *pair)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{wrong}.yaml:" in result.stderr
    assert "spec.colour: unknown field" in result.stderr


def test_colours_are_for_terminals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in plan(tmp_path, [changed(other_image)], [pipeline()]).stdout
    arguments = ["plan", "-f", str(tmp_path / "new.yaml"), "--from", str(tmp_path / "old.yaml")]
    assert "\x1b[33mNewCluster" in CliRunner().invoke(main, arguments, color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(main, arguments, color=True).stdout


def test_help_has_examples() -> None:
    result = CliRunner().invoke(main, ["plan", "--help"])
    assert result.exit_code == 0
    assert "llmpipeline plan pipeline.yaml\n" in result.stdout
