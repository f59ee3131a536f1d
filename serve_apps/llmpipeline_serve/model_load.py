"""How long a replica takes until it has its model: the metric by which a slow start is explained."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from ray.serve.metrics import Histogram

from llmpipeline_serve.contract.models import ModelArgs

Step = Literal["fetch", "load"]

# From a tiny model to one of hundreds of gigabytes.
_SECONDS = [1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 2400, 3600]


@contextmanager
def timed(step: Step, model: ModelArgs) -> Iterator[None]:
    """Measure one step: `fetch` brings the files to this node, `load` reads them into memory.

    A histogram, though each replica measures once: what a gauge of Ray was set to is exported once and then forgotten.
    """
    began = time.perf_counter()
    yield
    histogram = Histogram(
        "llmpipeline_model_load_seconds", "Time until a replica had its model.", _SECONDS, ("model", "step")
    )
    histogram.observe(time.perf_counter() - began, tags={"model": str(model), "step": step})
