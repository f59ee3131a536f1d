"""What pipelines used within a time, so that a platform team can charge teams for it."""

from llmpipeline.monitoring import queries
from llmpipeline.monitoring.queries import Scope

# A gauge is looked at so often; the GPU time of a Pod that lived shorter may be missed.
_STEP = "1m"


def gpu_hours(scope: Scope, window: str) -> str:
    """GPU hours that the Ray Pods held, whether or not they were used."""
    held = f"sum_over_time(({queries.gpus(scope)})[{window}:{_STEP}])"
    return f"{held} / 60"


def requests(scope: Scope, window: str) -> str:
    """HTTP requests of each app."""
    return f"round({queries.requests_increase(scope, window)})"


def tokens(scope: Scope, window: str) -> str:
    """Tokens of each app; the label `direction` says whether they were of prompts (in) or generated (out)."""
    directions = {"in": "prompt_tokens_total", "out": "generation_tokens_total"}
    return " or ".join(
        f'label_replace({queries.vllm_increase(metric, scope, window)}, "direction", "{direction}", "", "")'
        for direction, metric in directions.items()
    )
