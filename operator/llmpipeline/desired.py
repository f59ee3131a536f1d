"""The one door: from a document to what a cluster should have for it, or to all that is wrong with it.

The operator, every command and the tests come in here, so that they can never disagree.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from llmpipeline.api.parse import metadata_of, parse
from llmpipeline.api.pipeline import LLMPipeline, Metadata
from llmpipeline.checks import bounds, size
from llmpipeline.checks.spec import problems
from llmpipeline.classes import allowed, gpu_types
from llmpipeline.classes.choose import NONE, Classes, Used, choose
from llmpipeline.classes.resolve import resolve
from llmpipeline.names import Manifest
from llmpipeline.plan.plan import Plan, make_plan
from llmpipeline.problems import Path, Problem
from llmpipeline.render.companions import companions
from llmpipeline.render.platform import DEFAULT, Platform
from llmpipeline.render.rayservice import rayservice


@dataclass(frozen=True, slots=True)
class Desired:
    """What a cluster should have for a pipeline.

    Attributes:
        pipeline: The pipeline, with all that its class fills in.
        plan: What has to run.
        service: The RayService.
        companions: What is made with it: policies, budget, monitor, route, ingress. They are applied before it.
        used: The class that filled it in.
    """

    pipeline: LLMPipeline
    plan: Plan
    service: Manifest
    companions: tuple[Manifest, ...]
    used: Used = field(default_factory=Used)

    @property
    def metadata(self) -> Metadata:
        """The pipeline's."""
        return self.pipeline.metadata

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Every manifest, in the order in which they are applied."""
        return (*self.companions, self.service)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a document cannot work.

    Attributes:
        metadata: The pipeline's, as far as the document has it.
        problems: All that is wrong: of structure, or if that is sound, of what the fields say together.
    """

    metadata: Metadata
    problems: tuple[Problem, ...]


def compile(  # noqa: A001  # the word for it; used as desired.compile
    document: dict[str, Any], platform: Platform = DEFAULT, classes: Classes = NONE
) -> Desired | Rejected:
    """What a cluster should have for a document, as read from a file or from the API server.

    The same document on the same platform with the same class gives the same bytes. Its status is not looked at.
    """
    parsed = parse(document)
    if not isinstance(parsed, LLMPipeline):
        return Rejected(metadata_of(document), tuple(parsed))
    used = choose(parsed, classes)
    if isinstance(used, Problem):
        return Rejected(parsed.metadata, (used,))
    if unusable := tuple(gpu_types.unusable(parsed.spec, used.spec, used.how_to_add)):
        return Rejected(parsed.metadata, unusable)
    filled = resolve(parsed, used)
    if isinstance(filled, Problem):
        return Rejected(parsed.metadata, (filled,))
    made = _made(filled, platform, used)
    return replace(made, problems=tuple(_placed(made.problems, document, used))) if isinstance(made, Rejected) else made


def _made(pipeline: LLMPipeline, platform: Platform, used: Used) -> Desired | Rejected:
    """What a cluster should have for a pipeline in which nothing is left open."""
    if wrong := tuple(bounds.problems(pipeline.spec)):
        return Rejected(pipeline.metadata, wrong)
    plan = make_plan(pipeline)
    if wrong := tuple(problems(pipeline.spec, plan)):
        return Rejected(pipeline.metadata, wrong)
    service = rayservice(pipeline, plan, platform)
    if wrong := (
        *size.problems(pipeline.spec, plan, service),
        *allowed.problems(used, pipeline.spec.ray.image, service),
    ):
        return Rejected(pipeline.metadata, wrong)
    return Desired(pipeline, plan, service, tuple(companions(pipeline, plan, platform)), used)


def _placed(found: Iterable[Problem], document: dict[str, Any], used: Used) -> Iterable[Problem]:
    """The problems, those with what the class filled in said of the class: the document does not have that field."""
    for problem in found:
        if not used.name or _has(document, problem.path):
            yield problem
        else:
            yield replace(problem, path=("spec",), message=f"with {used}, {problem}", remedy="")


def _has(document: Any, path: Path) -> bool:
    """Whether a document has a field, or the object that it may be missing in."""
    here = document
    for part in path[:-1]:
        inside = isinstance(here, dict) and part in here
        inside = inside or (isinstance(here, list) and isinstance(part, int) and part < len(here))
        if not inside:
            return False
        here = here[part]
    return True
