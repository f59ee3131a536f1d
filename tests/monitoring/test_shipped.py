"""What is shipped for Prometheus and Grafana, judged without a live pipeline: promtool, the table, the runbooks."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from llmpipeline.monitoring import alerts
from llmpipeline.monitoring.queries import metric_names
from support.control_plane.assets import PROMTOOL, build_once
from support.monitoring import boards
from support.monitoring.series import CASES, Case
from support.pipelines import desired_of, pipeline
from support.repository import DOCS

OBJECTIVES = {"latencyP99Milliseconds": 500, "timeToFirstTokenP95Milliseconds": 200, "errorRatePercent": 0.5}
CHAT = {
    "name": "chat",
    "openai": {"models": [{"name": "one", "source": {"huggingFace": {"repository": "a/b"}}}]},
    "objectives": OBJECTIVES,
}


def promtool(*arguments: object) -> None:
    done = subprocess.run(
        [str(build_once(PROMTOOL)), *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def own_rules() -> dict[str, Any]:
    """The rules of a pipeline with objectives."""
    document = pipeline(CHAT, monitoring={"prometheusRule": {"labels": {"release": "prometheus"}}})
    (rule,) = [item for item in desired_of(document).manifests if item["kind"] == "PrometheusRule"]
    spec: dict[str, Any] = rule["spec"]
    return spec


@pytest.fixture(scope="module")
def rule_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    file = tmp_path_factory.mktemp("rules") / "objectives.yaml"
    file.write_text(yaml.safe_dump(own_rules()))
    return [str(boards.RULES), str(file)]


def test_promtool_finds_no_fault(rule_files: list[str]) -> None:
    promtool("check", "rules", *rule_files)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_an_alert_fires_if_and_only_if_it_should(case: Case, rule_files: list[str], tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text(yaml.safe_dump({"rule_files": rule_files, "evaluation_interval": "1m", "tests": [case.test()]}))
    promtool("test", "rules", file)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    shipped = {rule["alert"] for rule in [*boards.rules(), *own_rules()["groups"][0]["rules"]] if "alert" in rule}
    assert {case.alert for case in CASES if case.fires} == shipped
    assert {case.alert for case in CASES if not case.fires} == shipped


def test_a_pipeline_without_objectives_has_no_rule_of_its_own() -> None:
    document = pipeline({**CHAT, "objectives": {}}, monitoring={"prometheusRule": {}})
    assert not [item for item in desired_of(document).manifests if item["kind"] == "PrometheusRule"]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    names = {rule["alert"] for rule in [*boards.rules(), *own_rules()["groups"][0]["rules"]] if "alert" in rule}
    pages = {path.stem for path in (DOCS / "runbooks").glob("*.md")} - {"index"}
    assert {alerts.runbook(name) for name in names} == pages
    for name in names:
        text = (DOCS / "runbooks" / f"{alerts.runbook(name)}.md").read_text()
        assert name in text, name
        for heading in ("## What it means", "## What to look at", "## What to do"):
            assert heading in text, (name, heading)


@pytest.mark.parametrize("name", boards.boards())
def test_a_dashboard_is_what_grafanas_types_say(name: str) -> None:
    content = boards.boards()[name]
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(content)))
    assert again == content
    ids = [panel["id"] for panel in content["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel.get("description") or panel["type"] in ("row", "stat") for panel in content["panels"])
    variables = {variable["name"] for variable in content["templating"]["list"]}
    for query in boards.queries(name, content):
        used = set(re.findall(r"\$(\w+)", query.expression)) - {"__rate_interval", "__range"}
        assert used <= variables, query.title


def test_the_page_of_metrics_names_all_that_is_asked_for() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text()
    asked = {
        metric
        for name, content in boards.boards().items()
        for query in boards.queries(name, content)
        for metric in metric_names(query.expression)
    }
    asked |= {metric for rule in boards.rules() for metric in metric_names(rule["expr"])}
    assert {metric for metric in asked if f"`{metric}`" not in page} == set()


def test_a_label_with_quotes_is_no_way_into_a_rule() -> None:
    """A rule holds names of objects alone, which have no quotes; labels to be selected by are data."""
    labels = {"release": 'a"} or vector(1) #'}
    document = pipeline(CHAT, monitoring={"prometheusRule": {"labels": labels}})
    (rule,) = [item for item in desired_of(document).manifests if item["kind"] == "PrometheusRule"]
    assert rule["spec"] == own_rules()
