"""A RayService that the API server would not store: what the operator makes of a small spec may be large."""

import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from llmpipeline.api.pipeline import Spec
from llmpipeline.names import Manifest
from llmpipeline.plan.plan import Plan
from llmpipeline.problems import Path, Problem

# etcd takes 1.5 MiB, with the status that KubeRay and Ray write and with what the API server adds.
MOST_BYTES: Final = 1024 * 1024


def problems(spec: Spec, plan: Plan, service: Manifest) -> Iterator[Problem]:
    """The problem, with the field that contributes most to the size."""
    size = len(json.dumps(service))
    if size > MOST_BYTES:
        path, copies = max(_contributions(spec, plan), key=lambda item: item[2])[:2]
        often = f"; each of the {copies} groups of Pods has a copy of this field" if copies > 1 else ""
        message = f"the RayService would have {size // 1024} KiB, and at most {MOST_BYTES // 1024} can be stored{often}"
        yield Problem(path, message, "make it smaller, or make several pipelines")


def _contributions(spec: Spec, plan: Plan) -> Iterator[tuple[Path, int, int]]:
    """Fields that take much room: where they are, how often they are copied, and how much all copies take."""
    groups = len(plan.groups)
    everywhere: tuple[tuple[Path, int, Any], ...] = (
        (("spec", "ray", "env"), groups + 1, spec.ray.env),
        (("spec", "workerDefaults"), groups, spec.worker_defaults),
        (("spec", "head"), 1, spec.head),
        *((("spec", "workers", index), 1, group) for index, group in enumerate(spec.workers or ())),
        *((("spec", "apps", index), 1, app) for index, app in enumerate(spec.apps)),
    )
    for path, copies, value in everywhere:
        yield path, copies, copies * _size(value)


def _size(value: Any) -> int:
    if isinstance(value, BaseModel):
        return len(value.model_dump_json(exclude_defaults=True))
    return sum(map(_size, value)) if isinstance(value, tuple) else 0
