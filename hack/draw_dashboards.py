"""Draws the dashboards for the docs from a Prometheus that has data: hack/draw_dashboards.py URL.

Grafana itself draws in a browser. These pictures show the same panels with the same queries, and are made to be looked
at: by us after a change, and by readers of docs/how-to/monitor.md.
"""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes

from support.monitoring import boards, live
from support.monitoring.boards import Query
from support.monitoring.prometheus import Labels, Prometheus

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "assets" / "dashboards"
_CHOSEN: Final = {"namespace": live.NAMESPACE, "pipeline": live.PIPELINE, "baseline": "old"}
_WINDOW, _PERIOD, _SECONDS = "20s", "2m", 120
_COLUMNS: Final = 24
_UNITS: Final = {"s": "seconds", "reqps": "a second", "percentunit": "share", "percent": "%", "short": ""}
_MOST_LINES: Final = 8


def draw(name: str, content: Mapping[str, Any], prometheus: Prometheus, folder: Path = FOLDER) -> Path:
    """Draws one dashboard, and returns the picture's path."""
    values = boards.chosen(content, prometheus, _CHOSEN)
    panels = [panel for panel in content["panels"] if panel["type"] != "row"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = pyplot.figure(figsize=(14, height * 0.34), dpi=80)
    figure.suptitle(content["title"], x=0.02, ha="left", weight="bold")
    grid = figure.add_gridspec(height + 1, _COLUMNS, hspace=0.1, wspace=4, left=0.04, right=0.98, top=0.96, bottom=0.02)
    for panel in panels:
        place = panel["gridPos"]
        rows, columns = slice(place["y"] + 1, place["y"] + place["h"]), slice(place["x"], place["x"] + place["w"])
        axes = figure.add_subplot(grid[rows, columns])
        queries = [query for query in boards.queries(name, content) if query.panel == panel["title"]]
        _panel(axes, panel, queries, values, prometheus)
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
    return path


def _panel(
    axes: Axes, panel: Mapping[str, Any], queries: list[Query], values: Mapping[str, str], prometheus: Prometheus
) -> None:
    axes.set_title(panel["title"], fontsize=9, loc="left")
    expressions = [(query, boards.filled_in(query.expression, values, _WINDOW, _PERIOD)) for query in queries]
    if panel["type"] == "timeseries":
        _lines(axes, expressions, prometheus)
        return
    axes.axis("off")
    found = [item for _, expression in expressions for item in prometheus.query(expression)]
    if panel["type"] == "stat":
        axes.text(0, 0.1, f"{found[0][1]:g}" if found else "0", fontsize=22)
        return
    rows = [f"{value:10.4g}   {', '.join(labels.values())}" for labels, value in found[:12]]
    axes.text(0, 0.95, "\n".join(rows) or "no rows", fontsize=8, va="top", family="monospace")


def _lines(axes: Axes, expressions: list[tuple[Query, str]], prometheus: Prometheus) -> None:
    drawn = 0
    for query, expression in expressions:
        for labels, points in prometheus.lines(expression, _SECONDS):
            first = points[0][0]
            kept = [(moment - first, value) for moment, value in points if not math.isnan(value)]
            if kept and drawn < 40:
                label = _legend(query.legend, labels) if drawn < _MOST_LINES else None
                axes.plot(*zip(*kept, strict=True), label=label, linewidth=1.2)
                drawn += 1
    axes.tick_params(labelsize=7)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_ylabel(_UNITS.get(expressions[0][0].unit, expressions[0][0].unit), fontsize=7)
    if drawn:
        axes.legend(fontsize=6, loc="upper left", framealpha=0.6)
    else:
        axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes, fontsize=9, color="grey")


def _legend(pattern: str, labels: Labels) -> str:
    for name, value in labels.items():
        pattern = pattern.replace(f"{{{{{name}}}}}", value)
    return pattern


def main() -> int:
    """Draws all of them."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    mpl.use("agg")
    prometheus = Prometheus(sys.argv[1])
    for name, content in boards.boards().items():
        print(draw(name, content, prometheus))
    return 0


if __name__ == "__main__":
    sys.exit(main())
