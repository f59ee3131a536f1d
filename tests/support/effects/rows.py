"""What an edit of each field of `spec` does to a live pipeline: the fields of the schema, and rows for each of them."""

from collections.abc import Iterator
from functools import cache
from typing import Final

from llmpipeline import names
from llmpipeline.api.crd import crd
from llmpipeline.classes.choose import Classes
from support.effects.apps import of_apps, of_scale
from support.effects.cluster import around, of_the_cluster
from support.effects.edits import Document, Row

# Fields of which an edit may change no manifest, and why that is right.
NOTHING: Final = {
    "spec.network.policy.serveFrom.name": "tells the entries apart, for kubectl apply",
    "spec.network.policy.egressTo.name": "tells the entries apart, for kubectl apply",
    "spec.scale.minReplicas": "bounds what spec.scale.replicas may be set to; given worker groups are as large as told",
    "spec.scale.maxReplicas": "bounds what spec.scale.replicas may be set to; given worker groups are as large as told",
}
# Fields that KubeRay ignores on a live service, and why that cannot be helped.
IGNORED: Final[dict[str, str]] = {}

# Those that the rows name: they differ in where head Pods run.
CLASSES: Final = Classes(
    tuple(
        {
            "apiVersion": names.API_VERSION,
            "kind": names.CLASS_KIND,
            "metadata": {"name": name},
            "spec": {"head": {"nodeSelector": {"pool": name}}},
        }
        for name in ("one", "other")
    )
)


def fields() -> Iterator[str]:
    """Where an edit can end, by the schema: values, maps, objects that take anything, and each list as such."""
    (version,) = crd()["spec"]["versions"]
    yield from _fields(version["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec")


@cache
def rows() -> tuple[Row, ...]:
    """Every row."""
    return (*of_the_cluster(), *of_apps(), *of_scale(), *around())


def document(spec: Document) -> Document:
    """The resource with this spec."""
    return {
        "apiVersion": "serving.llmpipeline.dev/v1alpha1",
        "kind": "LLMPipeline",
        "metadata": {"name": "reviews", "namespace": "ml", "uid": "0-1"},
        "spec": spec,
    }


def _fields(schema: Document, path: str) -> Iterator[str]:
    if schema.get("type") == "array":
        yield path
        schema = schema["items"]
        if "properties" not in schema:
            return
    if "properties" not in schema:
        yield path
        return
    for name, below in schema["properties"].items():
        yield from _fields(below, f"{path}.{name}")
