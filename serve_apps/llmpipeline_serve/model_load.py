"""How long a replica takes until it has its model: the metric by which a slow start is explained."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from ray.serve.metrics import Gauge

from llmpipeline_serve.contract.models import ModelArgs

Step = Literal["fetch", "load"]


@contextmanager
def timed(step: Step, model: ModelArgs) -> Iterator[None]:
    """Measure one step: `fetch` brings the files to this node, `load` reads them into memory."""
    began = time.perf_counter()
    yield
    gauge = Gauge("llmpipeline_model_load_seconds", "Time until the replica had its model.", ("model", "step"))
    gauge.set(time.perf_counter() - began, tags={"model": str(model), "step": step})
