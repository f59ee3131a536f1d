"""What `trafficSplit` apps get wrong, and the schema cannot see."""

from collections.abc import Iterator, Mapping

from llmpipeline.api.base import parts
from llmpipeline.api.kind import AppKind
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.traffic_split import TrafficSplit
from llmpipeline.problems import Path, Problem


def problems(spec: Spec) -> Iterator[Problem]:
    """Apps that do not exist, and loops."""
    kinds = {app.name: app.kind for app in spec.apps}
    for split in parts(spec, TrafficSplit, ("spec",)):
        for v, variant in enumerate(split.value.variants):
            yield from _unusable(variant.app, kinds, (*split.at, "variants", v, "app"))
        for s, shadow in enumerate(split.value.shadow):
            yield from _unusable(shadow.app, kinds, (*split.at, "shadow", s, "app"))


def _unusable(name: str, kinds: Mapping[str, AppKind], path: Path) -> Iterator[Problem]:
    others = ", ".join(other for other, kind in kinds.items() if not isinstance(kind, TrafficSplit)) or "add one"
    if name not in kinds:
        yield Problem(path, f"this pipeline has no app {name}", f"apps to choose from: {others}")
    elif isinstance(kinds[name], TrafficSplit):
        message = f"{name} is a trafficSplit, and one may not pass requests to another"
        yield Problem(path, message, f"apps to choose from: {others}")
