"""`llmpipeline plan` as a gate: what fails it, deletions and renames, and what it reads in a cluster."""

import json
from pathlib import Path

import click
import pytest

from llmpipeline import names
from llmpipeline.cli.main import main
from llmpipeline.names import Key
from support.pipelines import Document
from support.plan_command import changed, other_image, pipeline, plan, runs


def with_companions(document: Document) -> Document:
    document["spec"] |= {"disruption": {"minAvailableWorkers": 1}, "network": {"policy": {}}}
    return document


def message_against_the_cluster(tmp_path: Path, document: Document) -> str:
    result = plan(tmp_path, [document], None, "-o", "json")
    assert result.exit_code == 0, result.output
    return str(json.loads(result.stdout)[0]["message"])


def test_companions_in_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, with_companions(pipeline()))
    assert message_against_the_cluster(tmp_path, with_companions(pipeline())) == "Nothing changes."
    gone = message_against_the_cluster(tmp_path, pipeline())
    assert "PodDisruptionBudget reviews is removed" in gone
    assert "NetworkPolicy reviews is removed" in gone
    more = with_companions(pipeline())
    more["spec"]["disruption"]["minAvailableWorkers"] = 2
    more["spec"]["network"]["ingress"] = {"host": "a.example"}
    said = message_against_the_cluster(tmp_path, more)
    assert said == (
        "Companion objects: PodDisruptionBudget reviews changes, Ingress reviews is added; no Pod restarts for it."
    )


def test_companions_of_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = runs(monkeypatch, pipeline())
    key = Key("ml", "reviews")
    cluster.objects["PodDisruptionBudget", key] = {"metadata": {"name": "reviews", "namespace": "ml", "uid": "1"}}
    said = message_against_the_cluster(tmp_path, with_companions(pipeline()))
    assert "PodDisruptionBudget reviews is not this pipeline's and stays as it is" in said
    assert message_against_the_cluster(tmp_path, pipeline()) == "Nothing changes."


def test_companions_that_cannot_be_read_fail_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = runs(monkeypatch, pipeline())
    cluster.hidden, cluster.unknown = {"NetworkPolicy", names.KIND}, {"HTTPRoute"}
    new = pipeline()
    new["spec"]["network"] = {"policy": {}, "httpRoute": {"gateway": {"name": "g"}}}
    said = message_against_the_cluster(tmp_path, new)
    assert "cannot be read, so what becomes of them is not known: NetworkPolicy, HTTPRoute." in said


def test_reasons_against_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user changes, and what this version renders in another way than the one before."""
    cluster = runs(monkeypatch, pipeline())
    head = cluster.rayservices[Key("ml", "reviews")]["spec"]["rayClusterConfig"]["headGroupSpec"]
    head["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "7Gi"
    text = plan(tmp_path, [changed(other_image)], None).stdout
    assert "    because ray.image changes; make such changes together" in text
    assert "    because head.resources differs in the cluster, though the pipeline's own field does not change;" in text
    (edit,) = json.loads(plan(tmp_path, [changed(other_image)], None, "-o", "json").stdout)
    assert [it["field"] for it in edit["reasons"]] == ["ray.image", "head.resources"]


def test_an_upgrade_in_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = runs(monkeypatch, pipeline())
    cluster.rayservices[Key("ml", "reviews")]["status"] = {
        "conditions": [{"type": "UpgradeInProgress", "status": "True"}],
        "activeServiceStatus": {"rayClusterName": "old"},
        "pendingServiceStatus": {"rayClusterName": "new"},
    }
    said = message_against_the_cluster(tmp_path, changed(other_image))
    assert "An upgrade is in progress; the new change replaces it: KubeRay gives up new" in said


def test_a_pipeline_that_is_gone_is_deleted(tmp_path: Path) -> None:
    result = plan(tmp_path, [pipeline()], [pipeline(), pipeline("gone", most=5)])
    rows = [line.split() for line in result.stdout.splitlines()[1:3]]
    assert rows[1] == ["gone", "Delete", "1-6", "->", "0", "-"]
    assert "requests fail" in result.stdout
    assert "rename" not in result.stdout


@pytest.mark.parametrize("more", [{}, {"drainSeconds": 300}], ids=["same spec", "same apps"])
def test_a_rename_is_a_new_pipeline_and_a_deletion(tmp_path: Path, more: Document) -> None:
    new = pipeline("renamed")
    new["spec"] |= more
    result = plan(tmp_path, [new], [pipeline()], "-o", "json")
    created, deleted = json.loads(result.stdout)
    assert (created["effect"], deleted["effect"]) == ("Create", "Delete")
    assert (created["interrupts"], deleted["interrupts"]) == (False, True)
    end = "A new pipeline starts and the old one is deleted; nothing takes the requests over."
    assert created["message"].endswith(f"This looks like a rename of reviews. {end}")
    assert deleted["message"].endswith(f"This looks like a rename to renamed. {end}")


def test_another_namespace_is_no_rename(tmp_path: Path) -> None:
    result = plan(tmp_path, [pipeline("renamed", namespace="search")], [pipeline()])
    assert "rename " not in result.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--fail-on", "NewCluster"], "NewCluster"),
        (["--fail-on", "Suspend,ExtraGPUs"], "ExtraGPUs"),
        (["--fail-on", "ExtraGPUs", "--fail-on", "NewCluster"], "NewCluster, ExtraGPUs"),
        (["--fail-on", "Interruption, InPlace"], ""),
    ],
)
def test_effects_that_fail(tmp_path: Path, words: list[str], says: str) -> None:
    result = plan(tmp_path, [changed(other_image)], [pipeline()], *words)
    assert result.stdout.startswith("NAME")
    assert result.exit_code == (1 if says else 0)
    expected = f"{tmp_path / 'new.yaml'}: reviews: {says}, which --fail-on names\n"
    assert result.stderr == (expected if says else "")


def test_a_deletion_interrupts(tmp_path: Path) -> None:
    result = plan(tmp_path, [pipeline()], [pipeline(), pipeline("gone")], "--fail-on", "Interruption,Delete")
    assert result.exit_code == 1
    assert result.stderr == f"{tmp_path / 'old.yaml'}: gone: Delete, Interruption, which --fail-on names\n"


def test_an_unknown_effect_is_wrong_usage(tmp_path: Path) -> None:
    result = plan(tmp_path, [pipeline()], [pipeline()], "--fail-on", "Newcluster")
    assert result.exit_code == 2
    assert "'Newcluster' is not one of Ignored, InPlace, LivePatch, AddWorkers, NewCluster" in result.stderr


def test_effects_are_completed() -> None:
    plan_command = main.get_command(click.Context(main), "plan")
    assert plan_command
    (option,) = (it for it in plan_command.params if it.name == "fail_on")
    context = click.Context(plan_command)
    assert [it.value for it in option.shell_complete(context, "NewCluster,In")] == [
        "NewCluster,InPlace",
        "NewCluster,Interruption",
    ]


def test_labels_that_are_passed_on_are_compared(tmp_path: Path) -> None:
    new = pipeline()
    new["metadata"]["labels"] = {"team": "search"}
    assert "Unchanged" in plan(tmp_path, [new], [pipeline()]).stdout
    result = plan(tmp_path, [new], [pipeline()], "--pass-on-label", "team")
    assert "because metadata.labels[team] changes" in result.stdout
