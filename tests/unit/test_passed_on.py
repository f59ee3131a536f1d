"""Labels and annotations of a pipeline that its RayService and its Pods get too."""

from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from llmpipeline import desired
from llmpipeline.cli.main import main
from llmpipeline.desired import Desired
from llmpipeline.effect import effect_of
from llmpipeline.render.platform import DEFAULT, Platform, wrong_with
from support.pipelines import Document, pipeline, problems_of

LABELS = {
    "kueue.x-k8s.io/queue-name": "team",
    "team": "search",
    "cost.example.com/centre": "4711",
    "other": "x",
    "app.kubernetes.io/name": "mine",
    "serving.llmpipeline.dev/pipeline": "another",
}
ANNOTATIONS = {"cost.example.com/owner": "somebody", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
PLATFORM = Platform(labels=("kueue.x-k8s.io/", "team", "cost.example.com/"), annotations=("cost.example.com/owner",))


def rendered(platform: Platform, **metadata: Any) -> Document:
    found = desired.compile(pipeline(metadata=metadata), platform)
    assert isinstance(found, Desired)
    return found.service


def templates(service: Document) -> list[Document]:
    cluster = service["spec"]["rayClusterConfig"]
    return [part["template"]["metadata"] for part in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_what_the_platform_allows_reaches_the_rayservice() -> None:
    metadata = rendered(PLATFORM, labels=LABELS, annotations=ANNOTATIONS)["metadata"]
    ours = rendered(PLATFORM)["metadata"]["labels"]
    assert metadata["labels"] == {
        "kueue.x-k8s.io/queue-name": "team",
        "team": "search",
        "cost.example.com/centre": "4711",
        **ours,
    }
    assert metadata["annotations"] == {"cost.example.com/owner": "somebody"}


def test_pods_get_them_without_those_of_kueue() -> None:
    service = rendered(PLATFORM, labels=LABELS, annotations=ANNOTATIONS)
    for metadata, ours in zip(templates(service), templates(rendered(PLATFORM)), strict=True):
        assert metadata["labels"] == {"team": "search", "cost.example.com/centre": "4711", **ours["labels"]}
        assert metadata["annotations"] == {"cost.example.com/owner": "somebody"}


def test_by_default_only_kueue_is_passed_on() -> None:
    service = rendered(DEFAULT, labels=LABELS, annotations=ANNOTATIONS)
    assert "team" not in service["metadata"]["labels"]
    assert service["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert "annotations" not in service["metadata"]
    assert templates(service) == templates(rendered(DEFAULT))


def test_without_any_the_bytes_stay() -> None:
    assert rendered(PLATFORM) == rendered(DEFAULT)


@pytest.mark.parametrize(
    ("labels", "kind"), [({"team": "b"}, "NewCluster"), ({"kueue.x-k8s.io/queue-name": "b"}, "Unchanged")]
)
def test_a_label_of_the_pods_is_a_new_cluster(labels: dict[str, str], kind: str) -> None:
    assert effect_of(rendered(PLATFORM), rendered(PLATFORM, labels=labels)).kind == kind


def test_a_label_is_a_string() -> None:
    (problem,) = problems_of(pipeline(metadata={"labels": {"team": 4711}}))
    assert str(problem).startswith("metadata.labels.team")


@pytest.mark.parametrize("key", ["team", "example.com/", "example.com/team", "kueue.x-k8s.io/", "a.b-c/D_e.f"])
def test_keys_that_may_be_passed_on(key: str) -> None:
    assert wrong_with(key) == ""


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("serving.llmpipeline.dev/", "serving.llmpipeline.dev/ is reserved"),
        ("app.kubernetes.io/name", "app.kubernetes.io/ is reserved"),
        ("ray.io/", "ray.io/ is reserved"),
        ("kubectl.kubernetes.io/last-applied-configuration", "kubectl.kubernetes.io/ is reserved"),
        ("/", "neither a key"),
        ("*", "neither a key"),
        ("a b", "neither a key"),
        ("Example.com/", "neither a key"),
    ],
)
def test_keys_that_may_not(key: str, says: str) -> None:
    assert says in wrong_with(key)
    for option in ("--pass-on-label", "--pass-on-annotation"):
        result = CliRunner().invoke(main, ["operator", option, key])
        assert result.exit_code == 2
        assert says in " ".join(result.stderr.split())


def test_render_passes_them_on(tmp_path: Any) -> None:
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(pipeline(metadata={"labels": LABELS})))
    arguments = ["render", "-f", str(tmp_path / "pipeline.yaml")]
    assert "queue-name: team" in CliRunner().invoke(main, arguments).stdout
    assert "queue-name" not in CliRunner().invoke(main, [*arguments, "--pass-on-label", ""]).stdout
    assert "team: search" in CliRunner().invoke(main, [*arguments, "--pass-on-label", "team"]).stdout
