"""Labels and annotations of a pipeline that its RayService and its Pods get too, because the platform allows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from llmpipeline.api.pipeline import Metadata
from llmpipeline.render.platform import KUEUE, RESERVED, Platform

Texts = dict[str, str]


@dataclass(frozen=True, slots=True)
class PassedOn:
    """The labels and annotations that are passed on to one thing."""

    labels: Texts
    annotations: Texts


NOTHING: Final = PassedOn({}, {})


def to_service(metadata: Metadata, platform: Platform) -> PassedOn:
    """Those of the RayService: all that are allowed."""
    return PassedOn(_allowed(metadata.labels, platform.labels), _allowed(metadata.annotations, platform.annotations))


def to_pods(metadata: Metadata, platform: Platform) -> PassedOn:
    """Those of the Pods: without Kueue's, which would queue each Pod for itself."""
    given = to_service(metadata, platform)
    labels, annotations = (
        {key: text for key, text in texts.items() if not key.startswith(KUEUE)}
        for texts in (given.labels, given.annotations)
    )
    return PassedOn(labels, annotations)


def _allowed(given: Mapping[str, str], allowed: tuple[str, ...]) -> Texts:
    prefixes, keys = tuple(it for it in allowed if it.endswith("/")), frozenset(allowed)
    return {
        key: text
        for key, text in sorted(given.items())
        if (key in keys or key.startswith(prefixes)) and not key.startswith(RESERVED)
    }
