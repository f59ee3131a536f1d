"""The dashboard of A/B tests: variants beside each other, and how sure a difference is.

Shares of two variants are compared by Agresti and Caffo's interval, which adds one success and one failure to each, so
that it holds for few requests and for none that failed. Source: The American Statistician 54 (2000), pages 280-288.
"""

from typing import Final

from dashboards.board import APPS, CHOICE, WINDOW, Board, Panel, Section, Variable, lines, table
from llmpipeline.monitoring import queries

_SCOPE: Final = f"{APPS.pipeline}, {APPS.app}"
_BY: Final = "app, variant"
_Z_95: Final = 1.96
_COPIES: Final = "ray_llmpipeline_split_shadow_requests_total"
_NAME: Final = "{{app}} {{variant}}"


def _rate(metric: str) -> str:
    return f"sum by ({_BY}) (rate(ray_llmpipeline_split_{metric}{{{_SCOPE}}}[{WINDOW}]))"


def _total(metric: str, more: str = "") -> str:
    """How many within the time that is shown."""
    return f"sum by ({_BY}) (increase(ray_llmpipeline_split_{metric}{{{_SCOPE}{more}}}[$__range]))"


_ASKED: Final = _total("requests_total")
_FAILED: Final = f"({_total('errors_total')} or {_ASKED} * 0)"
_TIMED: Final = _total("latency_seconds_count")
_FAST: Final = _total("latency_seconds_bucket", ', le="$slow"')
_SLOW: Final = f"({_TIMED} - {_FAST})"


def _difference(some: str, of: str) -> dict[str, str]:
    """The difference to the baseline of the share of some of all, and the ends of its interval of 95 %."""
    share = f"(({some} + 1) / ({of} + 2))"
    variance = f"({share} * (1 - {share}) / ({of} + 2))"

    def baseline(expression: str) -> str:
        return f"on (app) group_left () sum by (app) ({expression} and on (app, variant) {_chosen()})"

    value = f"{share} - {baseline(share)}"
    spread = f"{_Z_95} * sqrt({variance} + {baseline(variance)})"
    return {"difference": value, "lowest": f"({value}) - {spread}", "highest": f"({value}) + {spread}"}


def _chosen() -> str:
    return f'group by ({_BY}) (ray_llmpipeline_split_requests_total{{{_SCOPE}, variant="$baseline"}})'


def _compared(title: str, some: str, of: str, explains: str) -> Panel:
    found = _difference(some, of)
    return lines(
        title, "percentunit", explains, *((expression, f"{_NAME} {name}") for name, expression in found.items())
    )


BOARD: Final = Board(
    "ab-test",
    "llmpipeline / A/B tests",
    "The variants of traffic splits beside each other. Empty without trafficSplit apps.",
    (
        Section(
            "Variants",
            (
                lines("Requests", "reqps", "Passed to each variant.", (_rate("requests_total"), _NAME)),
                lines(
                    "Failed requests",
                    "percentunit",
                    "Answered 5xx, not at all, or not to the end.",
                    (
                        f"({_rate('errors_total')} or {_rate('requests_total')} * 0) / ({_rate('requests_total')} > 0)",
                        _NAME,
                    ),
                ),
                lines(
                    "Latency",
                    "s",
                    "Until the last byte of the variant's answer.",
                    *(
                        (
                            queries.quantile(number, "split_latency_seconds", APPS, WINDOW, _BY),
                            f"{_NAME} p{number * 100:g}",
                        )
                        for number in (0.5, 0.95)
                    ),
                ),
                lines(
                    "Time to the first byte, p95",
                    "s",
                    "Until the variant's status and headers came.",
                    (queries.quantile(0.95, "split_first_byte_seconds", APPS, WINDOW, _BY), _NAME),
                ),
                lines(
                    "Copies (shadow)",
                    "reqps",
                    "answered; failed: 5xx or no answer; skipped: too many at once. Empty without shadow.",
                    (
                        f"sum by (app, result) (rate({_COPIES}{{{_SCOPE}}}[{WINDOW}]))",
                        "{{app}} {{result}}",
                    ),
                ),
            ),
        ),
        Section(
            "Difference to the baseline in the time that is shown, with its interval of 95 %",
            (
                _compared(
                    "Share of requests that fail",
                    _FAILED,
                    _ASKED,
                    "Above 0: more fail than at the baseline. If lowest is below and highest above 0, nobody can say.",
                ),
                _compared(
                    "Share of requests that are slow",
                    _SLOW,
                    _TIMED,
                    "Longer than the seconds chosen above. If lowest is below and highest above 0, nobody can say.",
                ),
                table(
                    "Requests in the time that is shown",
                    _ASKED,
                    "The more, the narrower the interval.",
                ),
            ),
        ),
    ),
    (
        *CHOICE,
        Variable("baseline", f"ray_llmpipeline_split_requests_total{{{_SCOPE}}}", "variant"),
        Variable("slow", f"ray_llmpipeline_split_latency_seconds_bucket{{{_SCOPE}}}", "le", first="1.0"),
    ),
)
