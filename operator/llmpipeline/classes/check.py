"""What is wrong with a class by itself: all that would keep every pipeline of it from being accepted."""

from collections.abc import Iterator

from llmpipeline.api.image import image_of
from llmpipeline.api.parse import parse_class
from llmpipeline.api.pipeline_class import ClassRay, LLMPipelineClass
from llmpipeline.checks.cluster import RESERVED
from llmpipeline.classes import gpu_types
from llmpipeline.classes.choose import too_large
from llmpipeline.names import Manifest
from llmpipeline.problems import Path, Problem


def problems(document: Manifest) -> Iterator[Problem]:
    """All of it, each with the field that is to blame."""
    parsed = parse_class(document)
    if not isinstance(parsed, LLMPipelineClass):
        yield from parsed
    else:
        yield from too_large(document)
        yield from gpu_types.wrong_labels(parsed.spec)
        yield from _of_ray(parsed.spec.ray or ClassRay())
    metadata = document.get("metadata")
    if isinstance(metadata, dict) and metadata.get("namespace") is not None:
        yield Problem(("metadata", "namespace"), "a class is in no namespace", "leave it out")


def _of_ray(ray: ClassRay) -> Iterator[Problem]:
    at: Path = ("spec", "ray")
    for name, image in ray.images or ():
        if image_of(image) is None:
            remedy = "replace placeholders, and write it like registry.example/llmpipeline/serve:2.60.0-gpu"
            yield Problem((*at, "images", name), f"no image can be named {image!r}", remedy)
    for v, variable in enumerate(ray.env):
        if variable.name in RESERVED:
            message = f"{variable.name} is not for users to set"
            yield Problem((*at, "env", v, "name"), message, RESERVED[variable.name])
