"""Whether a class allows the images of Pods: all that the rendered Pods have, however they came there."""

from collections.abc import Iterator
from typing import Any

from llmpipeline.classes.choose import Used
from llmpipeline.conditions import Accepted
from llmpipeline.names import Manifest
from llmpipeline.problems import Path, Problem

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def problems(used: Used, ray_image: str, service: Manifest) -> Iterator[Problem]:
    """Each image that is not allowed, once."""
    patterns = used.spec.allowed_images
    if not patterns:
        return
    own = used.ray.images
    allowed = (own.cpu, own.gpu) if own else ()
    for image in dict.fromkeys(_images(service["spec"]["rayClusterConfig"])):
        if image not in allowed and not any(matches(pattern, image) for pattern in patterns):
            is_rays = image == ray_image
            path: Path = ("spec", "ray", "image") if is_rays else ("spec",)
            message = f"{used} does not allow {'the image' if is_rays else 'the image of a podTemplate'} {image}"
            shown = ", ".join(patterns[:3]) + (", ..." if len(patterns) > 3 else "")
            remedy = f"use one that matches {shown}{' or leave it out' if is_rays else ''}"
            yield Problem(path, message, remedy, Accepted.IMAGE_NOT_ALLOWED)


def matches(pattern: str, image: str) -> bool:
    """Whether an image is one of a pattern, in which `*` stands for any characters."""
    first, *rest = pattern.split("*")
    if not rest:
        return image == pattern
    *middle, last = rest
    if len(image) < len(first) + len(last) or not (image.startswith(first) and image.endswith(last)):
        return False
    at, end = len(first), len(image) - len(last)
    for part in middle:  # the leftmost place of each part leaves the most to those after it
        found = image.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _images(cluster: Manifest) -> Iterator[str]:
    for group in (cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", ())):
        pod = group["template"]["spec"]
        yield from (str(item["image"]) for kind in _CONTAINERS for item in _objects(pod.get(kind)) if item.get("image"))
        for image in _objects([volume.get("image") for volume in _objects(pod.get("volumes"))]):
            if image.get("reference"):
                yield str(image["reference"])


def _objects(items: Any) -> list[Manifest]:
    """The objects of a list, which a podTemplate may have made anything."""
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list | tuple) else []
