"""What is mounted into every Ray Pod: the model cache, the claims of pvc:// and the code of ConfigMaps.

In every Pod, because Ray decides where a replica runs.
"""

from collections.abc import Iterator
from typing import Any, Final

from llmpipeline.api.base import parts
from llmpipeline.api.graph import CodeSource
from llmpipeline.api.model_source import CLAIMS_FOLDER, ModelSource
from llmpipeline.api.pipeline import Spec
from llmpipeline_serve.contract.environment import CODE_FOLDER

_CACHE_VOLUME: Final = "model-cache"


Mounted = tuple[dict[str, Any] | None, dict[str, Any]]


def volumes(spec: Spec) -> Iterator[Mounted]:
    """Each volume with its mount; None for one that is mounted once more."""
    yield from _of_models(spec)
    for name in sorted({source.value.config_map for source in parts(spec, CodeSource)}):
        mount = {"name": f"code-{name}", "mountPath": f"{CODE_FOLDER}/{name}", "readOnly": True}
        yield {"name": f"code-{name}", "configMap": {"name": name}}, mount


def _of_models(spec: Spec) -> Iterator[Mounted]:
    """The model cache and the claims. A claim that is the cache's too is mounted twice and is one volume.

    The kubelet can wait forever for the second volume of the same claim in a Pod.
    """
    cache = spec.ray.model_cache
    cached = cache.claim_name if cache else None
    if cache and cached:
        yield _volume(_CACHE_VOLUME, cached), {"name": _CACHE_VOLUME, "mountPath": cache.path}
    for claim in sorted({source.value.claim for source in parts(spec, ModelSource) if source.value.claim}):
        volume = _CACHE_VOLUME if claim == cached else f"model-{claim}"
        mount = {"name": volume, "mountPath": f"{CLAIMS_FOLDER}/{claim}", "readOnly": True}
        yield None if claim == cached else _volume(volume, claim), mount


def _volume(name: str, claim: str) -> dict[str, Any]:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}
