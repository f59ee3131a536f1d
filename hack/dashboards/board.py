"""A dashboard as values, and as Grafana's own types make JSON of it."""

import itertools
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as StatPanel
from grafana_foundation_sdk.builders.table import Panel as TablePanel
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeriesPanel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from llmpipeline.monitoring.queries import Scope

# By which Grafana's sidecar and its search find them.
TAG: Final = "llmpipeline"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
WINDOW: Final = "$__rate_interval"
# What the variables choose.
PIPELINE: Final = Scope('namespace="$namespace", pipeline="$pipeline"')
APPS: Final = Scope('namespace="$namespace", pipeline="$pipeline"', 'app=~"$app"')
# As it stands behind the name of a metric.
IN_APPS: Final = f"{{{APPS.pipeline}, {APPS.app}}}"
_COLUMNS: Final = 24

Kind = Literal["lines", "number", "table"]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel, and what its series are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        queries: What Prometheus is asked.
        unit: Grafana's name of the unit.
        explains: What a person can tell from it, and when it is empty.
        kind: lines: over time; number: now; table: now, a row for each series.
        width: Of 24 columns.
        good: Of a number, from where on it is green, and red below; None: neither.
        highest: The top of the axis; None: that of the data.
    """

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    explains: str = ""
    kind: Kind = "lines"
    width: int = 12
    good: float | None = None
    highest: float | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What the reader chooses above the panels, from the values of a label.

    Attributes:
        name: Its name, and that of the label unless `label` gives another.
        series: Whose labels; it may use variables before it.
        label: The label.
        several: Whether more than one can be chosen, and all are at first.
        first: What is chosen at first; empty: the first value.
    """

    name: str
    series: str
    label: str = ""
    several: bool = False
    first: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard."""

    name: str
    title: str
    explains: str
    sections: tuple[Section, ...]
    variables: tuple[Variable, ...] = ()


_SERVED: Final = "ray_serve_deployment_replica_healthy"
NAMESPACE_AND_PIPELINE: Final = (
    Variable("namespace", _SERVED),
    Variable("pipeline", f'{_SERVED}{{namespace="$namespace"}}'),
)
APP: Final = Variable("app", f'{_SERVED}{{namespace="$namespace", pipeline="$pipeline"}}', several=True)
CHOICE: Final = (*NAMESPACE_AND_PIPELINE, APP)


def as_json(board: Board) -> str:
    """The dashboard as Grafana loads it."""
    made = (
        Dashboard(board.title)
        .uid(f"llmpipeline-{board.name}")
        .description(board.explains)
        .tags([TAG])
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .editable()
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(
            DashboardLink("llmpipeline")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in board.variables:
        made = made.with_variable(_variable(variable))
    numbers = itertools.count(1)
    for section in board.sections:
        made = made.with_row(Row(section.title).id(next(numbers)))
        for panel in section.panels:
            made = made.with_panel(_panel(panel).id(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _variable(variable: Variable) -> QueryVariable:
    label = variable.label or variable.name
    made = (
        QueryVariable(variable.name)
        .query(f"label_values({variable.series}, {label})")
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
    if variable.several:
        # `.+` and not every value: an app that is gone, or that Prometheus saw once, would else be left out.
        everything = VariableOption(selected=True, text="All", value="$__all")
        made = made.multi(True).include_all(True).all_value(".+").current(everything)
    if variable.first:
        made = made.current(VariableOption(selected=True, text=variable.first, value=variable.first))
    return made


def _panel(panel: Panel) -> Any:
    makers: dict[Kind, Any] = {"lines": _lines, "number": _number, "table": _table}
    made = makers[panel.kind](panel)
    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        made = made.with_target(_target(query, panel.kind).ref_id(letter))
    height = 4 if panel.kind == "number" else 8
    return (
        made.title(panel.title)
        .description(panel.explains)
        .datasource(SOURCE)
        .unit(panel.unit)
        .span(min(panel.width, _COLUMNS))
        .height(height)
    )


def _target(query: Query, kind: Kind) -> Dataquery:
    made = Dataquery().expr(query.expression).legend_format(query.legend or "__auto").datasource(SOURCE)
    if kind == "lines":
        return made.range()
    made = made.instant()
    return made.format(PromQueryFormat.TABLE) if kind == "table" else made


def _lines(panel: Panel) -> TimeSeriesPanel:
    legend = (
        VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    made = TimeSeriesPanel().legend(legend).fill_opacity(8).min(0)
    return made.max(panel.highest) if panel.highest is not None else made


def _number(panel: Panel) -> StatPanel:
    made = StatPanel().graph_mode(BigValueGraphMode.NONE).no_value("0")
    if panel.good is None:
        return made.color_mode(BigValueColorMode.NONE)
    steps = [Threshold(value=None, color="red"), Threshold(value=panel.good, color="green")]
    thresholds = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    return made.thresholds(thresholds).color_mode(BigValueColorMode.VALUE)


def _table(_: Panel) -> TablePanel:
    hidden = dict.fromkeys(("Time", "__name__", "instance", "job", "pod", "container", "endpoint", "service"), True)
    return (
        TablePanel()
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(DataTransformerConfig(id_val="organize", options={"excludeByName": hidden}))
    )


def lines(title: str, unit: str, explains: str, *queries: tuple[str, str], **more: Any) -> Panel:
    """A panel of lines from pairs of an expression and its legend."""
    return Panel(title, _queries(queries), unit, explains, **more)


def number(title: str, expression: str, explains: str = "", unit: str = "short", **more: Any) -> Panel:
    """A panel of one number."""
    return Panel(title, (Query(expression, " "),), unit, explains, "number", more.pop("width", 4), **more)


def table(title: str, expression: str, explains: str, **more: Any) -> Panel:
    """A panel with a row for each series."""
    return Panel(title, (Query(expression),), explains=explains, kind="table", **more)


def _queries(pairs: Sequence[tuple[str, str]]) -> tuple[Query, ...]:
    return tuple(Query(expression, legend) for expression, legend in pairs)
