"""The one door: from a document to what a cluster should have for it, or to all that is wrong with it.

The operator, every command and the tests come in here, so that they can never disagree.
"""

from dataclasses import dataclass
from typing import Any

from llmpipeline.api.parse import metadata_of, parse
from llmpipeline.api.pipeline import LLMPipeline, Metadata
from llmpipeline.checks import bounds, size
from llmpipeline.checks.spec import problems
from llmpipeline.names import Manifest
from llmpipeline.plan.plan import Plan, make_plan
from llmpipeline.problems import Problem
from llmpipeline.render.companions import companions
from llmpipeline.render.platform import DEFAULT, Platform
from llmpipeline.render.rayservice import rayservice


@dataclass(frozen=True, slots=True)
class Desired:
    """What a cluster should have for a pipeline.

    Attributes:
        pipeline: The pipeline.
        plan: What has to run.
        service: The RayService.
        companions: What is made with it: policies, budget, monitor, route, ingress. They are applied before it.
    """

    pipeline: LLMPipeline
    plan: Plan
    service: Manifest
    companions: tuple[Manifest, ...]

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


def compile(document: dict[str, Any], platform: Platform = DEFAULT) -> Desired | Rejected:  # noqa: A001  # the word for it; used as desired.compile
    """What a cluster should have for a document, as read from a file or from the API server.

    The same document on the same platform gives the same bytes. Its status is not looked at.
    """
    parsed = parse(document)
    if not isinstance(parsed, LLMPipeline):
        return Rejected(metadata_of(document), tuple(parsed))
    if wrong := tuple(bounds.problems(parsed.spec)):
        return Rejected(parsed.metadata, wrong)
    plan = make_plan(parsed)
    if wrong := tuple(problems(parsed.spec, plan)):
        return Rejected(parsed.metadata, wrong)
    service = rayservice(parsed, plan, platform)
    if wrong := tuple(size.problems(parsed.spec, plan, service)):
        return Rejected(parsed.metadata, wrong)
    return Desired(parsed, plan, service, tuple(companions(parsed, plan, platform)))
