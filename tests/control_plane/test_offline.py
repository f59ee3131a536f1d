"""What `validate`, `plan`, `render` and `serve` accept is what the API server accepts, file by file."""

import json
from typing import Any
from urllib.parse import quote

import yaml
from hypothesis import HealthCheck, given, settings

from llmpipeline.api import object_meta
from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.cli.kubectl_yaml import UnreadableError, nodes_of, value_of
from support.control_plane import Admin, ApiError
from support.control_plane.admin import resource_path
from support.strategies.files import files

API, PLURAL = "serving.llmpipeline.dev/v1alpha1", "llmpipelines"
FILES = 2000


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
        answer = admin.bytes_of(f"{path}?dryRun=All&fieldValidation=Strict", text.encode(), "application/yaml")
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


def test_the_same_verdict_for_every_file(admin: Admin) -> None:
    seen: dict[str, str] = {}

    @settings(
        max_examples=FILES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(files())
    def compare(text: str) -> None:
        if text not in seen:
            seen[text] = difference(admin, text)

    compare()
    different = [found for found in seen.values() if found]
    print(f"{len(seen)} files, {len(different)} different")
    assert not different, f"{len(different)} of {len(seen)} differ:\n" + "\n".join(different[:5])
