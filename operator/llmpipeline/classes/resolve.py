"""Fills in what a pipeline leaves out. The same pipeline and class give the same pipeline.

What the pipeline says wins. Lists are merged: the pipeline's items come first, as they are, and then those items of the
class that have another key. The key is the name, and of a toleration key and effect.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from llmpipeline.api.accelerator import Gpu
from llmpipeline.api.base import Model, parts
from llmpipeline.api.companions import Monitoring, Network
from llmpipeline.api.deployment import Resources
from llmpipeline.api.pipeline import LLMPipeline, Spec
from llmpipeline.api.pods import Placement, Toleration
from llmpipeline.api.quantity import milli
from llmpipeline.api.ray_cluster import Head, Ray, WorkerSettings
from llmpipeline.classes import gpu_types
from llmpipeline.classes.choose import Used
from llmpipeline.problems import Problem

Item = TypeVar("Item", bound=Model)
Pods = TypeVar("Pods", bound=Placement)
_IMAGE: Final = ("spec", "ray", "image")


def resolve(pipeline: LLMPipeline, used: Used) -> LLMPipeline | Problem:
    """The pipeline with all that its class fills in."""
    spec = gpu_types.typed(pipeline.spec, used.spec)
    image = _image(spec, used)
    if isinstance(image, Problem):
        return image
    filled: dict[str, Any] = {"ray": _ray(spec.ray, used, image)}
    if used.spec.head:
        filled["head"] = _placed(spec.head or Head(), used.spec.head)
    if used.spec.worker_defaults:
        filled["worker_defaults"] = _placed(spec.worker_defaults or WorkerSettings(), used.spec.worker_defaults)
    if used.spec.network:
        filled["network"] = _filled(spec.network or Network(), used.spec.network)
    if used.spec.monitoring:
        filled["monitoring"] = _filled(spec.monitoring or Monitoring(), used.spec.monitoring)
    return pipeline.model_copy(update={"spec": spec.model_copy(update=filled)})


def _image(spec: Spec, used: Used) -> str | Problem:
    """The pipeline's image or that of the class, which goes with a version and a kind of accelerator."""
    if spec.ray.image:
        return spec.ray.image
    ray = used.ray
    assert ray.images
    if spec.ray.version and spec.ray.version != ray.version:
        message = f"it is {spec.ray.version}, and the images of {used} have Ray {ray.version}"
        return Problem(("spec", "ray", "version"), message, "leave it out, or set ray.image too")
    types = {part.value.type for part in parts(spec, Gpu)}
    if tpus := sorted(kind for kind in types if kind.startswith("TPU")):
        message = f"it is needed for {tpus[0]}, because {used} has images for CPUs and for GPUs"
        return Problem(_IMAGE, message, "set it to an image with Ray for TPUs")
    return ray.images.gpu if types or _asks_for_gpus(spec) else ray.images.cpu


def _asks_for_gpus(spec: Spec) -> bool:
    """GPUs without a type, as deployments of one's own code ask for them."""
    return any(milli(part.value.gpus or 0) > 0 for part in parts(spec, Resources))


def _ray(ray: Ray, used: Used, image: str) -> Ray:
    given = used.ray
    return ray.model_copy(
        update={
            "version": ray.version or given.version,
            "image": image,
            "image_pull_policy": ray.image_pull_policy or given.image_pull_policy,
            "image_pull_secrets": _merged(ray.image_pull_secrets, given.image_pull_secrets, _name),
            "model_cache": ray.model_cache or given.model_cache,
            "env": _merged(ray.env, given.env, _name),
        }
    )


def _placed(own: Pods, given: Placement) -> Pods:
    """Where Pods run: labels of nodes by their key, tolerations by key and effect."""
    selector = {**(given.node_selector or {}), **(own.node_selector or {})}
    tolerations = _merged(own.tolerations, given.tolerations, _taint)
    return own.model_copy(update={"node_selector": selector or None, "tolerations": tolerations})


def _filled(own: Item, given: Model) -> Item:
    """An object with those of its fields that it does not set, as a whole."""
    fields = {name: value for name, value in given if getattr(own, name) is None}
    return own.model_copy(update=fields)


def _merged(own: tuple[Item, ...], given: tuple[Item, ...], key: Callable[[Item], Any]) -> tuple[Item, ...]:
    taken = {key(item) for item in own}
    return (*own, *(item for item in given if key(item) not in taken))


def _name(item: Any) -> str:
    return str(item.name)


def _taint(toleration: Toleration) -> tuple[str | None, str | None]:
    return toleration.key, toleration.effect
