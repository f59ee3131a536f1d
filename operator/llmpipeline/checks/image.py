"""An image that no registry can have: Kubernetes says so only at the Pods, minutes later."""

from collections.abc import Iterator

from llmpipeline.api.image import image_of
from llmpipeline.api.pipeline import Spec
from llmpipeline.problems import Problem


def problems(spec: Spec) -> Iterator[Problem]:
    """Names with spaces, capitals, or the placeholders of templates."""
    if image_of(spec.ray.image) is None:
        message = f"no image can be named {spec.ray.image!r}"
        remedy = "replace placeholders, and write it like registry.example/llmpipeline/serve:2.60.0-gpu"
        yield Problem(("spec", "ray", "image"), message, remedy)
