"""What `openai` apps get wrong."""

from collections.abc import Iterator

from llmpipeline.api.base import parts
from llmpipeline.api.openai import OpenAI
from llmpipeline.api.pipeline import Spec
from llmpipeline.plan.apps.openai import deployment_name
from llmpipeline.problems import Problem


def problems(spec: Spec) -> Iterator[Problem]:
    """Models whose names become one in Ray."""
    for app in parts(spec, OpenAI, ("spec",)):
        names: dict[str, str] = {}
        for m, model in enumerate(app.value.models):
            other = names.setdefault(deployment_name(model.name), model.name)
            if other != model.name:
                message = f"Ray gives the models {other} and {model.name} the same deployment name"
                yield Problem((*app.at, "models", m, "name"), message, "rename one of them")
