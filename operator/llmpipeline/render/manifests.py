"""All that is made for a pipeline."""

from typing import Any

from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.plan.types import Plan
from llmpipeline.render.rayservice import rayservice
from llmpipeline.render.surroundings import surroundings


def manifests(pipeline: LLMPipeline, plan: Plan) -> list[dict[str, Any]]:
    """Every manifest, in the order in which they are applied: the RayService last."""
    return [*surroundings(pipeline, plan), rayservice(pipeline, plan)]
