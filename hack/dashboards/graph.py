"""The dashboard of graphs: each node."""

from typing import Final

from dashboards.board import APPS, CHOICE, IN_APPS, WINDOW, Board, Section, lines
from llmpipeline.monitoring import queries

_NAME: Final = "{{app}} {{node}}"


def _outcomes(by: str, outcome: str = "") -> str:
    chosen = IN_APPS.replace("}", f', outcome=~"{outcome}"}}') if outcome else IN_APPS
    return f"sum by ({by}) (rate(ray_llmpipeline_graph_node_requests_total{chosen}[{WINDOW}]))"


BOARD: Final = Board(
    "graph",
    "llmpipeline / graphs",
    "Time and outcome of each node of graph apps. Empty without graph apps.",
    (
        Section(
            "Nodes",
            (
                lines(
                    "Time in a node, p95",
                    "s",
                    "From the call until its result, with the time in its queue. Skipped nodes are left out.",
                    (queries.quantile(0.95, "graph_node_latency_seconds", APPS, WINDOW, "app, node"), _NAME),
                ),
                lines(
                    "Time in a node, p50",
                    "s",
                    "Nodes that do not wait for each other run at once, so these times do not add up.",
                    (queries.quantile(0.5, "graph_node_latency_seconds", APPS, WINDOW, "app, node"), _NAME),
                ),
                lines(
                    "Outcomes",
                    "reqps",
                    "ok; skipped: its `when` was false; fallback: it failed, and its fallback stood in; error: the "
                    "request failed with it; cancelled: another node failed, or the client left.",
                    (_outcomes("app, node, outcome"), "{{app}} {{node}} {{outcome}}"),
                ),
                lines(
                    "Nodes that fail",
                    "percentunit",
                    "Share of the calls, those with a fallback included.",
                    (
                        (
                            f"({_outcomes('app, node', 'error|fallback')} or {_outcomes('app, node')} * 0) / "
                            f"({_outcomes('app, node', 'ok|error|fallback')} > 0)"
                        ),
                        _NAME,
                    ),
                ),
            ),
        ),
    ),
    CHOICE,
)
