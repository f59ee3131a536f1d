"""The dashboards and alert rules as they are shipped, and what Grafana would ask Prometheus for them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from support.monitoring.prometheus import Prometheus
from support.repository import ROOT

FOLDER: Final = ROOT / "manifests" / "monitoring"
RULES: Final = FOLDER / "alert-rules.yaml"


@dataclass(frozen=True)
class Query:
    """One expression of one panel."""

    board: str
    panel: str
    unit: str
    kind: str
    expression: str
    legend: str

    @property
    def title(self) -> str:
        """Where it is."""
        return f"{self.board} / {self.panel}"


def boards() -> dict[str, dict[str, Any]]:
    """Each dashboard by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))}


def queries(board: str, content: Mapping[str, Any]) -> Iterator[Query]:
    """The expressions of a dashboard."""
    for panel in content["panels"]:
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
        for target in panel.get("targets", ()):
            yield Query(board, panel["title"], unit, panel["type"], target["expr"], target["legendFormat"])


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def filled_in(expression: str, values: Mapping[str, str], window: str, period: str) -> str:
    """An expression as Grafana sends it.

    Args:
        expression: With variables.
        values: Of the dashboard's variables.
        window: For `$__rate_interval`.
        period: The time that is shown, for `$__range`.
    """
    known = {"__rate_interval": window, "__range": period, **values}
    return re.sub(r"\$(\w+)", lambda found: known[found[1]], expression)


def chosen(content: Mapping[str, Any], prometheus: Prometheus, first: Mapping[str, str]) -> dict[str, str]:
    """What Grafana puts into the variables of a dashboard when somebody opens it; `first` is what they chose."""
    values: dict[str, str] = {}
    for variable in content["templating"]["list"]:
        if variable["type"] != "query":
            continue
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
        assert found, variable
        options = prometheus.values(filled_in(found[1], values, "1m", "1m"), found[2])
        assert options, f"{variable['name']}: {variable['query']} has no values"
        wanted = first.get(variable["name"], variable.get("allValue") or variable.get("current", {}).get("value"))
        values[variable["name"]] = str(wanted or options[0])
    return values
