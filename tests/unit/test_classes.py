"""What a class fills in, which class a pipeline has, and which images it allows."""

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmpipeline import desired, names
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.classes import check
from llmpipeline.classes.allowed import matches
from llmpipeline.classes.choose import Classes, Used, choose
from llmpipeline.classes.record import read, written
from llmpipeline.desired import Desired, Rejected
from support.pipelines import HELLO, Document, class_of, model, openai, parsed, sample
from support.pipelines import pipeline as whole_pipeline

RAY: Document = {"version": "2.60.0", "images": {"cpu": "registry.example/c:1", "gpu": "registry.example/g:1"}}
GROUPS = [{"name": "g", "maxReplicas": 1, "accelerator": {"type": "L4"}}]
TOLERATION: Document = {"key": "team", "value": "a", "effect": "NoSchedule"}


def pipeline(*apps: Document, **spec: Any) -> Document:
    """A pipeline that says nothing of Ray unless `spec` does."""
    document = whole_pipeline(*apps)
    document["spec"] = {"apps": document["spec"]["apps"], **spec}
    return document


def made(document: Document, *classes: Document) -> Desired:
    found = desired.compile(document, classes=Classes(classes))
    assert isinstance(found, Desired), [str(problem) for problem in found.problems]
    return found


def filled(document: Document, **spec: Any) -> Any:
    """The spec of a pipeline with a class that says this."""
    return made(document, class_of(**spec)).pipeline.spec


def reason_of(document: Document, *classes: Document, **more: Any) -> tuple[str, str]:
    found = desired.compile(document, classes=Classes(classes, **more))
    assert isinstance(found, Rejected)
    return found.problems[0].reason.word, str(found.problems[0])


# Images and versions


@pytest.mark.parametrize(
    ("apps", "spec", "image"),
    [
        ([HELLO], {}, "registry.example/c:1"),
        ([openai(model())], {}, "registry.example/g:1"),
        ([HELLO], {"workers": GROUPS}, "registry.example/g:1"),
        ([{"name": "hello", "hello": {"resources": {"gpus": "500m"}}}],
         {"workers": GROUPS}, "registry.example/g:1"),
        ([{"name": "hello", "hello": {"resources": {"gpus": 0}}}], {}, "registry.example/c:1"),
    ],
)  # fmt: skip
def test_the_image_follows_the_gpus(apps: list[Document], spec: Document, image: str) -> None:
    found = made(pipeline(*apps, **spec), class_of(ray=RAY))
    cluster = found.service["spec"]["rayClusterConfig"]
    groups = (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    assert {group["template"]["spec"]["containers"][0]["image"] for group in groups} == {image}


def test_without_a_class_there_are_the_images_of_the_samples() -> None:
    quickstart = sample("quickstart")
    short = copy.deepcopy(quickstart)
    del short["spec"]["ray"]
    assert made(short).service == made(quickstart).service
    assert made(pipeline()).pipeline.spec.ray.image == "llmpipeline/serve:2.60.0-cpu"


@pytest.mark.parametrize(
    ("ray", "expected"),
    [
        ({"version": "2.59.0", "image": "own:1"}, ("2.59.0", "own:1")),
        ({"image": "own:1"}, ("2.60.0", "own:1")),
        ({"version": "2.60.0"}, ("2.60.0", "registry.example/c:1")),
    ],
)
def test_what_the_pipeline_says_of_ray_wins(ray: Document, expected: tuple[str, str]) -> None:
    found = filled(pipeline(ray=ray), ray=RAY).ray
    assert (found.version, found.image) == expected


def test_a_version_alone_must_be_that_of_the_image() -> None:
    _, said = reason_of(pipeline(ray={"version": "2.59.0"}), class_of(ray=RAY))
    assert said == (
        "spec.ray.version: it is 2.59.0, and the images of class usual have Ray 2.60.0; leave it out, or set ray.image "
        "too"
    )


def test_no_class_has_an_image_for_tpus() -> None:
    tpu = openai(model(accelerator={"type": "TPU-V6E", "topology": "2x4"}))
    assert "spec.ray.image: it is needed for TPU-V6E" in reason_of(pipeline(tpu), class_of(ray=RAY))[1]


# The merge table of docs/how-to/classes.md: what the class says, what the pipeline says, and what comes of both.

SECRETS = [{"name": "a"}, {"name": "b"}]
POLICY = {"egress": "Closed"}
MERGED: list[tuple[str, Any, Any, Any]] = [
    ("ray.imagePullPolicy", "Always", None, "Always"),
    ("ray.imagePullPolicy", "Always", "Never", "Never"),
    ("ray.imagePullSecrets", SECRETS, None, SECRETS),
    ("ray.imagePullSecrets", SECRETS, [{"name": "c"}, {"name": "a"}], [{"name": "c"}, {"name": "a"}, {"name": "b"}]),
    ("ray.modelCache", {"path": "/models", "claimName": "c"}, None, {"path": "/models", "claimName": "c"}),
    ("ray.modelCache", {"path": "/models", "claimName": "c"}, {"path": "/data"}, {"path": "/data"}),
    ("ray.env", [{"name": "A", "value": "1"}], None, [{"name": "A", "value": "1"}]),
    (
        "ray.env",
        [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
        [{"name": "C", "value": "2"}, {"name": "A", "value": "2"}],
        [{"name": "C", "value": "2"}, {"name": "A", "value": "2"}, {"name": "B", "value": "1"}],
    ),
    ("workerDefaults.nodeSelector", {"a": "1", "b": "1"}, {"b": "2"}, {"a": "1", "b": "2"}),
    ("head.nodeSelector", {"a": "1"}, None, {"a": "1"}),
    ("workerDefaults.tolerations", [TOLERATION], None, [TOLERATION]),
    # The same key and effect: the pipeline's value takes its place.
    ("workerDefaults.tolerations", [TOLERATION], [{**TOLERATION, "value": "b"}], [{**TOLERATION, "value": "b"}]),
    (
        "head.tolerations",
        [TOLERATION],
        [{**TOLERATION, "effect": "NoExecute"}],
        [{**TOLERATION, "effect": "NoExecute"}, TOLERATION],
    ),
    ("network.policy", POLICY, None, POLICY),
    ("network.policy", POLICY, {"egress": "Open"}, {"egress": "Open"}),
    ("monitoring.podMonitor", {"labels": {"a": "b"}}, None, {"labels": {"a": "b"}}),
    ("monitoring.podMonitor", {"labels": {"a": "b"}}, {"intervalSeconds": 10}, {"intervalSeconds": 10}),
    ("monitoring.prometheusRule", {"labels": {"a": "b"}}, None, {"labels": {"a": "b"}}),
    ("monitoring.tracing", {"endpoint": "http://a"}, {"endpoint": "http://b"}, {"endpoint": "http://b"}),
]


@pytest.mark.parametrize(("field", "of_class", "of_pipeline", "expected"), MERGED)
def test_the_merge_table(field: str, of_class: Any, of_pipeline: Any, expected: Any) -> None:
    part, name = field.split(".")
    more = {"network": {"ingress": {}}, "monitoring": {}}.get(part, {})
    own = {part: {**more, **({name: of_pipeline} if of_pipeline is not None else {})}}
    found = filled(pipeline(**own), **{part: {name: of_class}})
    dumped = found.model_dump(mode="json", by_alias=True, exclude_unset=True)[part]
    assert dumped[name] == expected
    if part == "network":
        assert dumped["ingress"] == {}, "what the class does not have is the pipeline's"


def test_every_field_of_a_class_is_in_the_table_or_has_a_test_of_its_own() -> None:
    from llmpipeline.api.crd import class_schema

    fields = class_schema()["properties"]["spec"]["properties"]
    every = {f"{part}.{name}" for part, node in fields.items() for name in node.get("properties", {})} | {
        "allowedImages"
    }
    elsewhere = {"ray.version", "ray.images", "allowedImages"}
    placed = {f"{part}.{name}" for part in ("head", "workerDefaults") for name in ("nodeSelector", "tolerations")}
    assert every == {row[0] for row in MERGED} | elsewhere
    assert placed <= every


def test_what_is_whole_is_left_as_it_is() -> None:
    document = whole_pipeline(openai(model()))
    assert made(document).pipeline == parsed(document).model_copy()
    assert made(document, class_of()).service == made(document).service


def test_the_same_pipeline_and_class_give_the_same() -> None:
    document, usual = pipeline(openai(model())), class_of(ray={**RAY, "env": [{"name": "A", "value": "1"}]})
    assert made(document, usual) == made(copy.deepcopy(document), copy.deepcopy(usual))
    before = copy.deepcopy((document, usual))
    made(document, usual)
    assert (document, usual) == before


# Which class


def chosen(document: Document, *classes: Document, **more: Any) -> Any:
    return choose(parsed(document), Classes(classes, **more))


def test_a_named_class_goes_before_the_default_one() -> None:
    both = (class_of("a"), class_of("b", default=False))
    assert (chosen(pipeline(), *both).name, chosen(pipeline(className="b"), *both).name) == ("a", "b")
    assert chosen(pipeline(), class_of("b", default=False)).name == ""


@pytest.mark.parametrize("annotations", [None, {}, {names.ANNOTATION_DEFAULT_CLASS: "false"}, "x"])
def test_what_does_not_mark_a_default(annotations: Any) -> None:
    usual = class_of()
    usual["metadata"]["annotations"] = annotations
    assert chosen(pipeline(), usual).name == ""


@pytest.mark.parametrize(
    ("document", "classes", "more", "reason", "says"),
    [
        (pipeline(className="x"), [class_of("y")], {}, "ClassNotFound", "name one of y"),
        (pipeline(className="x"), [], {}, "ClassNotFound", "or leave className out"),
        (pipeline(), [class_of("y"), class_of("x")], {}, "SeveralDefaultClasses", "marked as default: x, y"),
        (pipeline(), [class_of(ray={"version": "2.60.0"})], {}, "InvalidClass", "version and images go together"),
        (pipeline(), [class_of(later=True)], {}, "InvalidClass", "spec.later: unknown field"),
        (pipeline(), [], {"unread": "forbidden"}, "ClassesUnreadable", "spec.ray: LLMPipelineClasses cannot be read"),
        (whole_pipeline(className="x"), [], {"unread": "no"}, "ClassesUnreadable", "spec.className: "),
        (pipeline(ray={"image": "docker.example/x"}), [class_of(allowedImages=["a/*"])], {}, "ImageNotAllowed", "a/*"),
    ],
)
def test_why_there_is_no_class(
    document: Document, classes: list[Document], more: Document, reason: str, says: str
) -> None:
    found, said = reason_of(document, *classes, **more)
    assert (found, says in said) == (reason, True), said


def test_who_says_all_needs_no_class_to_be_readable() -> None:
    assert chosen(whole_pipeline(), unread="forbidden").name == ""


def test_without_a_cluster_a_class_may_be_one_that_is_not_in_the_files() -> None:
    used = chosen(pipeline(className="x"), is_partial=True)
    assert "class x sets was not looked at" in used.note
    used = chosen(pipeline(ray={"version": "2.58.0"}), is_partial=True)
    assert isinstance(used, Used)
    assert "Which image has Ray 2.58.0" in used.note
    assert chosen(pipeline(), is_partial=True).note == ""


def test_what_a_class_gets_wrong_is_said_of_the_class() -> None:
    """A variable that KubeRay rejects stands in the class: the pipeline has no such line."""
    usual = class_of(ray={"env": [{"name": "RAY_AUTH_MODE", "value": "x"}]})
    assert reason_of(pipeline(), usual)[1].startswith("spec: with class usual, spec.ray.env[0].name: RAY_AUTH")


# Images


def container(image: str) -> Document:
    return {"name": "side", "image": image}


@pytest.mark.parametrize(
    "spec",
    [
        {"ray": {"image": "docker.example/evil:1"}},
        {"head": {"podTemplate": {"spec": {"initContainers": [container("docker.example/evil:1")]}}}},
        {"workerDefaults": {"podTemplate": {"spec": {"containers": [container("docker.example/evil:1")]}}}},
        {"workers": [{"name": "g", "maxReplicas": 1,
                      "podTemplate": {"spec": {"containers": [container("docker.example/evil:1")]}}}]},
        {"head": {"podTemplate": {"spec": {
            "volumes": [{"name": "v", "image": {"reference": "docker.example/evil:1"}}]}}}},
    ],
)  # fmt: skip
def test_no_image_comes_around_the_list(spec: Document) -> None:
    document = pipeline(**spec)
    reason, said = reason_of(document, class_of(ray=RAY, allowedImages=["registry.example/*"]))
    assert reason == "ImageNotAllowed"
    assert "docker.example/evil:1" in said
    made(document, class_of(ray=RAY, allowedImages=["registry.example/*", "docker.example/evil:*"]))
    made(document, class_of(ray=RAY))


def test_the_images_of_the_class_are_allowed() -> None:
    made(pipeline(), class_of(ray=RAY, allowedImages=["other.example/*"]))
    made(pipeline(), class_of(allowedImages=["other.example/*"]))


@given(
    st.text("ab*", max_size=8),
    st.text("ab", max_size=12),
)
def test_patterns(pattern: str, image: str) -> None:
    as_regex = "".join(".*" if letter == "*" else re.escape(letter) for letter in pattern)
    assert matches(pattern, image) == bool(re.fullmatch(as_regex, image))


# What stands on a RayService


def test_a_record_chooses_the_same_class() -> None:
    for document, default in ((pipeline(), True), (pipeline(className="usual"), False)):
        used = made(document, class_of(default=default, ray=RAY)).used
        again = desired.compile(document, classes=read(written(used)).classes)
        assert isinstance(again, Desired)
        assert again.used == used
    assert written(made(pipeline()).used) == ""


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "null", "{}", '{"name": 1, "spec": {}}', '{"name": "a"}', "[" * 100_000, '{"name":"","spec":{}}'],
)
def test_what_is_no_record_is_none(text: str) -> None:
    assert read(text).name == ""
    assert read(text).classes == Classes()


def test_a_record_of_something_else_is_rejected_and_not_believed() -> None:
    record = read(json.dumps({"name": "a", "byDefault": True, "spec": {"ray": {"version": 1}}}))
    assert isinstance(desired.compile(pipeline(), classes=record.classes), Rejected)


# A class by itself

WRONG_CLASSES: list[tuple[Document, str]] = [
    (class_of(rays={}), "spec.rays: unknown field"),
    (class_of(ray={"images": RAY["images"]}), "spec.ray.version: version and images go together"),
    (class_of(ray={**RAY, "version": "2.50.0"}), "spec.ray.version: Ray 2.56 or newer is needed"),
    (class_of(ray={**RAY, "images": {"cpu": "my image", "gpu": "g"}}), "spec.ray.images.cpu: no image can be named"),
    (class_of(ray={"env": [{"name": "RAY_AUTH_MODE", "value": "x"}]}), "use ray.authentication"),
    (class_of(allowedImages=["a b"]), "spec.allowedImages[0]: "),
    (class_of(head={"podTemplate": {}}), "spec.head.podTemplate: unknown field"),
    (class_of("a.b"), "metadata.name: the name may have"),
    (class_of("a" * 64), "metadata.name: the name may have"),
    ({**class_of(), "metadata": {"name": "a", "namespace": "ml"}}, "metadata.namespace: a class is in no namespace"),
]


def large(letter: str) -> Document:
    variables = [{"name": f"A{number}", "value": letter * 4000} for number in range(15)]
    return class_of(ray={"env": variables})


def test_a_class_fits_into_an_annotation() -> None:
    assert list(check.problems(large("a"))) == []
    (problem,) = check.problems(large("\u00e4"))
    assert "more than 64" in str(problem)
    assert reason_of(pipeline(), large("\u00e4"))[0] == "InvalidClass"
    assert len(written(made(pipeline(), large("a")).used)) < 256 * 1024


@pytest.mark.parametrize(("document", "says"), WRONG_CLASSES)
def test_a_wrong_class(document: Document, says: str) -> None:
    (problem,) = check.problems(document)
    assert says in str(problem)


def test_right_classes() -> None:
    assert list(check.problems(class_of())) == []
    assert list(check.problems(class_of(ray=RAY, allowedImages=["a/*", "*", "[::1]:5000/x@sha256:*"]))) == []


def test_the_model_has_no_empty_ray_after_the_door() -> None:
    found: LLMPipeline = made(pipeline()).pipeline
    assert found.spec.ray.version
    assert found.spec.ray.image


@pytest.mark.parametrize("spec", [{"x": {1, 2}}, {"ray": "x"}, None, [], "x", {"a": {"b": {"c": float("nan")}}}])
def test_a_class_that_is_none_at_all(spec: Any) -> None:
    usual = {**class_of(), "spec": spec}
    assert list(check.problems(usual))
    assert reason_of(pipeline(), usual)[0] == "InvalidClass"
