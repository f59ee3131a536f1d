"""Name, labels and owner of everything made for a pipeline."""

from typing import Any

from llmpipeline import names
from llmpipeline.api.pipeline import LLMPipeline


def labels(pipeline: LLMPipeline) -> dict[str, str]:
    """The labels of everything made for a pipeline."""
    return {
        names.LABEL_NAME: "llmpipeline",
        names.LABEL_INSTANCE: pipeline.metadata.name,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_PIPELINE: pipeline.metadata.name,
    }


def metadata(
    pipeline: LLMPipeline, more_labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    """The metadata of a manifest, with its owner where the pipeline has a UID (one read from a cluster has)."""
    given: dict[str, Any] = {
        "name": pipeline.metadata.name,
        "namespace": pipeline.metadata.namespace,
        # The controller finds the pipeline of an object by this one, whatever the user's are.
        "labels": labels(pipeline) | (more_labels or {}) | {names.LABEL_PIPELINE: pipeline.metadata.name},
    }
    if annotations:
        given["annotations"] = annotations
    if pipeline.metadata.uid:
        given["ownerReferences"] = [owner_reference(pipeline.metadata.name, pipeline.metadata.uid)]
    return given


def owner_reference(name: str, uid: str) -> dict[str, Any]:
    """That of what is made for the pipeline with this name and UID."""
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": name, "uid": uid, "controller": True}
