"""What `validate`, `plan`, `render` and `serve` accept is what the API server accepts, file by file."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from llmpipeline.api import object_meta
from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.cli.documents import read_pipelines
from llmpipeline.cli.kubectl_yaml import UnreadableError, nodes_of, value_of
from support.control_plane import Admin, ApiError
from support.control_plane.admin import resource_path
from support.strategies.files import SCALARS, as_text, files, node_of
from support.wrong_specs.specs import sample

API, PLURAL = "serving.llmpipeline.dev/v1alpha1", "llmpipelines"
# So many files, and so many tries: now and then a file is made again.
FILES, TRIES = 2000, 2500


def offline(text: str) -> tuple[Any, list[str]]:
    """A file's document as it is read here, and what is wrong with it by the rules of the API server."""
    try:
        (node,) = nodes_of(text)
        document = value_of(node) if node else None
    except (yaml.YAMLError, UnreadableError) as error:
        return None, [str(error)]
    if not isinstance(document, dict):
        return document, ["no object"]
    if document.get("kind") != "LLMPipeline":
        return document, ["kind: another one"]
    found = list(object_meta.problems(document))
    parsed = parse(document)
    found += [] if isinstance(parsed, LLMPipeline) else parsed
    return document, [str(problem) for problem in found]


def online(admin: Admin, text: str, namespace: str) -> tuple[Any, str]:
    """What the API server would store, or why it does not. A namespace that may exist does."""
    path = resource_path(API, PLURAL, quote(namespace, safe=""))
    try:
        answer = admin.bytes_of(
            f"{path}?dryRun=All&fieldValidation=Strict", text.encode(), content_type="application/yaml"
        )
    except ApiError as error:
        if error.status >= 500:
            raise
        if error.status == 404 and _creates(admin, namespace):
            return online(admin, text, namespace)
        return None, str(error)
    return json.loads(answer), ""


def _creates(admin: Admin, namespace: str) -> bool:
    try:
        admin.create_namespace(namespace)
    except ApiError:
        return False
    return True


def namespace_of(document: Any) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    name = metadata.get("namespace") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and name else "default"


def difference(admin: Admin, text: str) -> str:
    """How the two answers differ; empty if they do not."""
    document, found = offline(text)
    stored, rejection = online(admin, text, namespace_of(document))
    if bool(found) != bool(rejection):
        return f"offline: {found or 'accepted'}\nonline: {rejection or 'accepted'}\n{text}"
    if found:
        return ""
    here, there = parse(document), parse(stored)
    assert isinstance(here, LLMPipeline)
    if not isinstance(there, LLMPipeline):
        return f"what is stored is not read: {there}\n{text}"
    # By way of JSON, where 1 and 1.0 are not the same; the API server sorts the keys of free-form fields.
    ours, theirs = (json.dumps(json.loads(it.spec.model_dump_json()), sort_keys=True) for it in (here, there))
    return "" if ours == theirs else f"read here: {ours}\nstored: {theirs}\n{text}"


def test_the_same_verdict_for_every_file(admin: Admin, tmp_path: Path) -> None:
    seen: dict[str, str] = {}
    file = tmp_path / "pipeline.yaml"

    @settings(
        max_examples=TRIES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(files())
    def compare(text: str) -> None:
        if text in seen:
            return
        seen[text] = difference(admin, text)
        if offline(text)[1]:  # and by the door that the commands use
            file.write_text(text)
            sound, problems = read_pipelines([str(file)])
            assert problems
            assert not sound

    compare()
    different = [found for found in seen.values() if found]
    assert len(seen) >= FILES
    assert not different, f"{len(different)} of {len(seen)} differ:\n" + "\n".join(different[:5])


def with_arguments(text: str) -> str:
    """A file with this as the arguments of a custom app."""
    build = "importPath: my_app:build"
    return as_text(node_of(sample())).replace(build, f"{build}\n      args: {text}")


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_scalar_is_read_as_there(scalar: str, admin: Admin) -> None:
    assert not difference(admin, with_arguments(f"\n        a: {scalar}"))


@pytest.mark.parametrize(
    "merge", ["<<: {a: 1}, a: 2", "a: 2, <<: {a: 1}", "<<: [{a: 1}, {a: 2, b: 3}]", "<<: {}, b: 1"]
)
def test_a_merge_is_read_as_there(merge: str, admin: Admin) -> None:
    """Without strict validation, which kubectl cannot ask for: it sends JSON, where no merge is left."""
    text = with_arguments(f"{{{merge}}}")
    path = resource_path(API, PLURAL, "default")
    answer = admin.bytes_of(f"{path}?dryRun=All&fieldValidation=Ignore", text.encode(), content_type="application/yaml")
    document, found = offline(text)
    assert not found
    assert json.loads(answer)["spec"]["apps"][2] == document["spec"]["apps"][2]
