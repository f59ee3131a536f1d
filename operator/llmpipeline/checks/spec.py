"""All checks of a well-formed spec, in the order in which their problems are reported."""

from collections.abc import Callable, Iterator
from typing import Final

from llmpipeline.api.pipeline import Spec
from llmpipeline.checks import (
    cluster,
    drain,
    graph,
    image,
    models,
    openai,
    requests,
    runtime_env,
    scale,
    tracing,
    traffic_split,
)
from llmpipeline.plan.capacity import fit
from llmpipeline.plan.plan import Plan
from llmpipeline.problems import Problem

# Each looks for one thing wherever it may be, and names no kind of app but those that it is about.
CHECKS: Final[tuple[Callable[[Spec], Iterator[Problem]], ...]] = (
    image.problems,
    cluster.problems,
    runtime_env.problems,
    models.problems,
    openai.problems,
    requests.problems,
    graph.problems,
    traffic_split.problems,
    scale.problems,
    drain.problems,
    tracing.problems,
)


def problems(spec: Spec, plan: Plan) -> Iterator[Problem]:
    """All that keeps the spec from working, each with the field that is to blame."""
    for check in CHECKS:
        yield from check(spec)
    yield from (fit.misfits(plan.demands, plan.groups, plan.head) if spec.workers else fit.too_large(plan.demands))
    yield from fit.too_many(plan.groups)
