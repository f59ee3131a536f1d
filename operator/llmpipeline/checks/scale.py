"""What `spec.scale` gets wrong."""

from collections.abc import Iterator
from typing import Final

from llmpipeline.api.pipeline import Spec
from llmpipeline.problems import Path, Problem

_HERE: Final[Path] = ("spec", "scale")


def problems(spec: Spec) -> Iterator[Problem]:
    """A deployment that is not there, and one whose replicas are said twice."""
    scale = spec.scale
    if not scale:
        return
    app = next((app for app in spec.apps if app.name == scale.app), None)
    if app is None:
        known = ", ".join(app.name for app in spec.apps)
        yield Problem((*_HERE, "app"), f"there is no app {scale.app}", f"known: {known}")
        return
    blocks = app.named_deployments
    if not blocks:
        yield Problem(_HERE, "the app lists no deployments", "list the one to scale in custom.deployments")
    elif scale.deployment is None and len(blocks) > 1:
        yield Problem((*_HERE, "deployment"), "the app has several deployments", f"name one: {', '.join(blocks)}")
    elif scale.deployment is not None and scale.deployment not in blocks:
        remedy = f"known: {', '.join(blocks)}" if all(blocks) else "leave it out, because the app has only one"
        yield Problem((*_HERE, "deployment"), f"the app has no deployment {scale.deployment}", remedy)
    else:
        block = blocks[scale.deployment] if scale.deployment else next(iter(blocks.values()))
        if block.autoscaling or block.replicas is not None:
            message = "the deployment's own replicas or autoscaling would decide how many there are as well"
            yield Problem(_HERE, message, "leave replicas and autoscaling of the deployment out")
