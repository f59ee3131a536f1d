"""The dashboard of batches: how full they are, and what waiting for them costs."""

from typing import Final

from dashboards.board import APPS, CHOICE, IN_APPS, WINDOW, Board, Section, lines
from llmpipeline.monitoring import queries

_BY: Final = "app, deployment"
_NAME: Final = "{{app}} {{deployment}}"


def _rate(metric: str) -> str:
    return f"sum by ({_BY}) (rate(ray_llmpipeline_batch_{metric}{IN_APPS}[{WINDOW}]))"


BOARD: Final = Board(
    "batch",
    "llmpipeline / batches",
    "Batches of batch apps and of the text models in graphs. Empty without them.",
    (
        Section(
            "Batches",
            (
                lines(
                    "Items in a batch",
                    "short",
                    "Always 1: there is too little load, or batchWaitMilliseconds is too short. Always maxBatchSize: a "
                    "larger one may be faster.",
                    (f"{_rate('size_sum')} / ({_rate('size_count')} > 0)", f"{_NAME} mean"),
                    (queries.quantile(0.95, "batch_size", APPS, WINDOW, _BY), f"{_NAME} p95"),
                ),
                lines(
                    "Wait for a batch",
                    "s",
                    "From the arrival of an item to the call of the model.",
                    (queries.quantile(0.5, "batch_wait_seconds", APPS, WINDOW, _BY), f"{_NAME} p50"),
                    (queries.quantile(0.95, "batch_wait_seconds", APPS, WINDOW, _BY), f"{_NAME} p95"),
                ),
                lines(
                    "Use of the model",
                    "percentunit",
                    "Share of the time in which the model was called, per replica.",
                    (f"avg by ({_BY}) (rate(ray_llmpipeline_batch_busy_seconds_total{IN_APPS}[{WINDOW}]))", _NAME),
                    highest=1,
                ),
                lines("Items", "short", "Items a second.", (_rate("size_sum"), _NAME)),
            ),
        ),
    ),
    CHOICE,
)
