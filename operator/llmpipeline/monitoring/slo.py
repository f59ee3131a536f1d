"""Objectives compared with what Prometheus measured: what to ask, how to read an answer, and the verdict."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.monitoring import queries
from llmpipeline.monitoring.alerts import ERROR_OBJECTIVE
from llmpipeline.monitoring.objectives import (
    FIRST_TOKEN_OBJECTIVE,
    LATENCY_OBJECTIVE,
    labels_of,
    scope_of,
    thresholds,
)
from llmpipeline.monitoring.queries import Scope

_WINDOW: Final = re.compile(r"[1-9][0-9]{0,3}[mhd]")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of objective.

    Attributes:
        field: Its field in `apps[].objectives`.
        unit: That of the field.
        factor: From seconds or a share to this unit.
        expression: What measures it in a window, in seconds or as a share.
    """

    field: str
    unit: str
    factor: int
    expression: Callable[[Scope, str], str]


_KINDS: Final = {
    LATENCY_OBJECTIVE: _Kind(
        "latencyP99Milliseconds", "ms", 1000, lambda scope, window: queries.latency(0.99, scope, window)
    ),
    FIRST_TOKEN_OBJECTIVE: _Kind(
        "timeToFirstTokenP95Milliseconds",
        "ms",
        1000,
        lambda scope, window: queries.vllm_quantile(0.95, "time_to_first_token_seconds", scope, window, since=window),
    ),
    ERROR_OBJECTIVE: _Kind("errorRatePercent", "%", 100, queries.error_ratio),
}
FIELDS: Final = tuple(kind.field for kind in _KINDS.values())


@dataclass(frozen=True, slots=True)
class Question:
    """One objective of one app.

    Attributes:
        app: The app's name.
        objective: The field of `apps[].objectives`.
        expression: What to ask Prometheus.
        threshold: The highest answer that meets it, in seconds or as a share, as the answer is.
        factor: From there to the field's unit.
        unit: The field's unit.
    """

    app: str
    objective: str
    expression: str
    threshold: float
    factor: int
    unit: str

    @property
    def target(self) -> float:
        """The threshold in the field's unit."""
        return round(self.threshold * self.factor, 6)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an objective asks, and what was measured in seconds or as a share; None: there is no data."""

    question: Question
    answer: float | None

    @property
    def measured(self) -> float | None:
        """In the field's unit."""
        return None if self.answer is None else round(self.answer * self.question.factor, 6)

    @property
    def met(self) -> bool | None:
        """Whether the objective is met; None: there is no data."""
        return None if self.answer is None else self.answer <= self.question.threshold


def is_window(text: str) -> bool:
    """Whether it is a duration such as 5m, 1h or 7d."""
    return bool(_WINDOW.fullmatch(text))


def questions(pipeline: LLMPipeline, window: str) -> Iterator[Question]:
    """What to ask for the objectives that are given, in the order of the apps."""
    for app in pipeline.spec.apps:
        scope = scope_of(labels_of(pipeline, app))
        for name, threshold in thresholds(app).items():
            kind = _KINDS[name]
            yield Question(app.name, kind.field, kind.expression(scope, window), threshold, kind.factor, kind.unit)


def value_of(answer: Any) -> float | None:
    """The number in an answer of `/api/v1/query`; the highest if there are several. None: no data.

    Without traffic a quantile is NaN, and that is no data.

    Raises:
        ValueError: It is not an answer that Prometheus gives to such a query.
    """
    try:
        found = [float(series["value"][1]) for series in answer["data"]["result"]]
    except (TypeError, LookupError, ValueError) as error:
        raise ValueError("the answer has no vector of values") from error
    return max((value for value in found if math.isfinite(value)), default=None)


def all_met(verdicts: list[Verdict]) -> bool | None:
    """Whether every objective with data is met; None: none has data."""
    known = [verdict.met for verdict in verdicts if verdict.met is not None]
    return all(known) if known else None
