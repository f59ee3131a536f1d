"""The dashboard of the operator itself."""

from typing import Final

from dashboards.board import Board, Section, lines, number

_WINDOW: Final = "$__rate_interval"

BOARD: Final = Board(
    "operator",
    "llmpipeline / operator",
    "Whether the operator works, how fast, and what it asks of the API server.",
    (
        Section(
            "Now",
            (
                number("Leaders", "sum(llmpipeline_leading) or vector(0)", "Must be 1.", good=1),
                number("Replicas", "count(llmpipeline_leading) or vector(0)", "The leader and its standbys."),
                number("Pipelines", "max(llmpipeline_pipelines) or vector(0)"),
                number("Queue", "max(llmpipeline_queue_depth) or vector(0)", "Pipelines that wait for a worker."),
                number("Longest wait", "max(llmpipeline_queue_oldest_seconds) or vector(0)", unit="s"),
                number(
                    "Last news",
                    "max(llmpipeline_watch_age_seconds) or vector(0)",
                    "How long nothing was heard of pipelines. The API server sends something about once a minute.",
                    unit="s",
                ),
            ),
        ),
        Section(
            "Work",
            (
                lines(
                    "Reconciliations",
                    "short",
                    "A second, by the reason of Applied. failed: an error that is tried again.",
                    (f"sum by (result) (rate(llmpipeline_reconcile_total[{_WINDOW}]))", "{{result}}"),
                ),
                lines(
                    "Time of a reconciliation",
                    "s",
                    "Of one pipeline, from its first request to the API server until the last.",
                    *(
                        (
                            (
                                f"histogram_quantile({number}, sum by (le) "
                                f"(rate(llmpipeline_reconcile_seconds_bucket[{_WINDOW}])))"
                            ),
                            f"p{number * 100:g}",
                        )
                        for number in (0.5, 0.99)
                    ),
                ),
                lines(
                    "Requests to the API server",
                    "reqps",
                    "Code 0: no answer.",
                    (f"sum by (verb, code) (rate(llmpipeline_api_requests_total[{_WINDOW}]))", "{{verb}} {{code}}"),
                ),
                lines(
                    "Lag of the event loop",
                    "s",
                    "p99. Above a second something blocks the operator.",
                    (
                        f"histogram_quantile(0.99, sum by (le) (rate(llmpipeline_loop_lag_seconds_bucket[{_WINDOW}])))",
                        "p99",
                    ),
                ),
                lines(
                    "Queue",
                    "short",
                    "Pipelines that wait, and how long the first of them has waited.",
                    ("max(llmpipeline_queue_depth)", "pipelines"),
                    ("max(llmpipeline_queue_oldest_seconds)", "seconds"),
                ),
                lines(
                    "Changes that a watch left out",
                    "short",
                    "A later list showed them. Should stay 0.",
                    ("max(llmpipeline_watch_repairs)", "changes"),
                ),
            ),
        ),
    ),
)
