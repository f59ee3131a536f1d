"""The way from a pipeline to its plan."""

from collections.abc import Iterator

from llmpipeline.api.pipeline import LLMPipeline, Spec
from llmpipeline.plan import groups
from llmpipeline.plan.apps import application
from llmpipeline.plan.openai import OWN_ARGUMENTS, deployment_name
from llmpipeline.plan.types import Plan
from llmpipeline.problems import Problem


def make_plan(pipeline: LLMPipeline) -> Plan:
    """What has to run for this pipeline; with problems, why it cannot. The same pipeline gives the same plan."""
    spec = pipeline.spec
    planned = [application(app) for app in spec.apps]
    demands = tuple(demand for _, wanted in planned for demand in wanted)
    workers = groups.given(spec.workers) if spec.workers else groups.derived(demands)
    problems = [*_clashes(spec), *(groups.misfits(demands, workers) if spec.workers else ())]
    return Plan(tuple(app for app, _ in planned), demands, workers, tuple(problems))


def _clashes(spec: Spec) -> Iterator[Problem]:
    """What the schema cannot see: names that become one in Ray, engine arguments that have a field, two tokens."""
    tokens: set[tuple[str, str]] = set()
    for a, app in enumerate(spec.apps):
        names: dict[str, str] = {}
        for m, model in enumerate(app.openai.models if app.openai else ()):
            here = ("spec", "apps", a, "openai", "models", m)
            other = names.setdefault(deployment_name(model.name), model.name)
            if other != model.name:
                message = f"Ray gives the models {other} and {model.name} the same deployment name"
                yield Problem((*here, "name"), message, "rename one of them")
            for argument in (model.engine.extra or {}) if model.engine else ():
                if argument in OWN_ARGUMENTS:
                    message = f"the engine argument {argument} has a field of its own"
                    yield Problem((*here, "engine", "extra", argument), message, f"use {OWN_ARGUMENTS[argument]}")
            if model.source.hugging_face and model.source.hugging_face.token_secret_ref:
                secret = model.source.hugging_face.token_secret_ref
                tokens.add((secret.name, secret.key))
                if len(tokens) > 1:
                    message = "the models of one pipeline share their Pods, and so one Hugging Face token"
                    path = (*here, "source", "huggingFace", "tokenSecretRef")
                    yield Problem(path, message, "use one Secret, or two pipelines")
