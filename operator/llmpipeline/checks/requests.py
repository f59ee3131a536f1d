"""What no request could pass: bodies that may have no byte, batches that are never full."""

from collections.abc import Iterator

from llmpipeline.api.base import parts
from llmpipeline.api.batch import Batch
from llmpipeline.api.http_deployment import HttpDeployment
from llmpipeline.api.pipeline import Spec
from llmpipeline.api.quantity import ceil_units
from llmpipeline.plan.apps.batch import batch_size
from llmpipeline.problems import Problem


def problems(spec: Spec) -> Iterator[Problem]:
    """All of them, each with the field that is to blame."""
    for block in parts(spec, HttpDeployment, ("spec",)):
        if block.value.max_body_size is not None and not ceil_units(block.value.max_body_size):
            yield Problem((*block.at, "maxBodySize"), "no request would be short enough", "give at least 1")
    for batch in parts(spec, Batch, ("spec",)):
        size, ongoing = batch_size(batch.value), batch.value.max_ongoing_requests
        if ongoing and ongoing < size:
            message = f"a batch holds only in-flight requests, so with {ongoing} it never has {size}"
            yield Problem((*batch.at, "maxOngoingRequests"), message, f"raise it to {2 * size} or lower maxBatchSize")
