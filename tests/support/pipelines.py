"""Builders of pipelines: documents as a user writes them, and what the one door makes of them."""

import copy
from typing import Any

import yaml

from llmpipeline import desired, names
from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.classes.choose import Used
from llmpipeline.classes.resolve import resolve
from llmpipeline.desired import Desired
from llmpipeline.plan.plan import Plan, make_plan
from llmpipeline.problems import Problem
from support.repository import SAMPLES

Document = dict[str, Any]

RAY_VERSION = "2.60.0"
RAY: Document = {"version": RAY_VERSION, "image": f"registry.example/ray:{RAY_VERSION}"}
HELLO: Document = {"name": "hello", "hello": {}}
HUB: Document = {"huggingFace": {"repository": "a/b"}}


def pipeline(
    *apps: Document,
    name: str = "reviews",
    namespace: str = "ml",
    ray: Document | None = None,
    metadata: Document | None = None,
    **spec: Any,
) -> Document:
    """A pipeline with these apps, or with a greeting; `ray` and `metadata` are laid over the usual."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": namespace, **(metadata or {})},
        "spec": {"ray": {**RAY, **(ray or {})}, "apps": list(apps) or [HELLO], **spec},
    }


def class_of(name: str = "usual", *, default: bool = True, **spec: Any) -> Document:
    """A class that says this, by default the one of pipelines that name none."""
    annotations = {names.ANNOTATION_DEFAULT_CLASS: "true"} if default else {}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": names.API_VERSION, "kind": names.CLASS_KIND, "metadata": metadata, "spec": spec}


def sample(name: str) -> Document:
    """A file of manifests/samples."""
    document: Document = yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())
    return document


def with_field(document: Document, path: str, value: Any) -> Document:
    """A copy in which the field at a path like `spec.apps.0.hello` has this value."""
    changed = copy.deepcopy(document)
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    here: Any = changed
    for part in way:
        here = here[part]
    here[last] = value
    return changed


def model(name: str = "m", **fields: Any) -> Document:
    """A model of an `openai` app, on an L4 unless `fields` say otherwise."""
    return {"name": name, "source": HUB, "accelerator": {"type": "L4"}, **fields}


def openai(*models: Document, name: str = "chat", **fields: Any) -> Document:
    """An `openai` app."""
    return {"name": name, "openai": {"models": list(models), **fields}}


def desired_of(document: Document) -> Desired:
    """What a cluster should have for a pipeline that can work."""
    found = desired.compile(document)
    assert isinstance(found, Desired), [str(problem) for problem in found.problems]
    return found


def parsed(document: Document) -> LLMPipeline:
    """A document that is well-formed, whether or not it can work."""
    found = parse(document)
    assert isinstance(found, LLMPipeline), [str(problem) for problem in found]
    return found


def plan_of(document: Document) -> Plan:
    """The plan of a pipeline, whether or not it can work."""
    filled = resolve(parsed(document), Used())
    assert isinstance(filled, LLMPipeline), str(filled)
    return make_plan(filled)


def problems_of(document: Document) -> list[Problem]:
    """All that is wrong with a pipeline."""
    found = desired.compile(document)
    return [] if isinstance(found, Desired) else list(found.problems)


def says(document: Document) -> list[str]:
    """All that is wrong with a pipeline, as a user reads it."""
    return [str(problem) for problem in problems_of(document)]
