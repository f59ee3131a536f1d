"""What an edit of each field of `spec` does: no field without a row, every row true, and the page's table with them."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from field_edits import Document, Row
from field_effects import IGNORED, NOTHING, document, fields, rows
from field_table import DEPLOYMENTS, SOURCES, table

from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.effect import effect_of
from llmpipeline.plan.plan import make_plan
from llmpipeline.plan.types import Plan
from llmpipeline.render.manifests import manifests

PAGE = Path(__file__).parents[2] / "docs" / "edits.md"
BEGIN, END = "<!-- fields: begin -->\n\n", "\n<!-- fields: end -->"
REPLACED = re.compile(r"Ray Serve replaces every replica of (apps? )?")
Made = tuple[list[Document], Plan]


def made(spec: Document) -> Made:
    """The manifests of a spec, the RayService last, and its plan."""
    return _made(json.dumps(spec))


@cache
def _made(spec: str) -> Made:
    parsed = parse(document(json.loads(spec)))
    assert isinstance(parsed, LLMPipeline), parsed
    plan = make_plan(parsed)
    return manifests(parsed, plan), plan


def restarts(message: str) -> str:
    """Whose replicas start anew, by what the effect says."""
    told = REPLACED.search(message)
    return "" if not told else "app" if told[1] else "deployment"


def test_every_field_has_a_row() -> None:
    known = set(fields())
    told = {row.field for row in rows()}
    assert known - told == set(), "fields of the schema without a row in tests/shared/{app,cluster}_effects.py"
    holders = {field.rsplit(".", count)[0] for field in known for count in range(1, field.count("."))}
    assert told - known - holders == set(), "rows of fields that the schema does not have"


def test_a_row_is_there_once() -> None:
    titles = [row.title for row in rows()]
    assert len(set(titles)) == len(titles)


def test_the_blocks_of_the_table_are_the_schemas() -> None:
    """Those of a deployment, and of a model's source."""
    for places, field in ((DEPLOYMENTS, ".maxOngoingRequests"), (SOURCES, ".huggingFace.repository")):
        assert set(places) == {known.removesuffix(field) for known in fields() if known.endswith(field)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.title)
def test_an_edit_does_what_its_row_says(row: Row) -> None:
    before, plan_before = made(row.was)
    after, plan = made(row.now)
    assert plan_before.problems == ()
    if row.kind == "Refused":
        blamed = {".".join(str(part) for part in problem.path if isinstance(part, str)) for problem in plan.problems}
        assert row.field.rpartition(".")[0] in {field.rpartition(".")[0] for field in blamed}
        return
    assert plan.problems == ()
    effect = effect_of(before[-1], after[-1])
    around = before[:-1] != after[:-1]
    if row.kind in ("Nothing", "Around"):
        assert (effect.kind, effect.fields, around) == ("None", (), row.kind == "Around")
        return
    assert effect.kind == row.kind
    assert effect.fields, "the edit changes nothing"
    if row.kind == "NewCluster":
        assert effect.gpus_more == sum(group.gpus * group.hosts * group.replicas[0] for group in plan.groups)
    else:
        assert effect.gpus_more == 0
        assert restarts(effect.message) == row.restarts


def test_nothing_is_ignored_without_a_reason() -> None:
    silent = {"Nothing": NOTHING, "Ignored": IGNORED}
    for kind, reasons in silent.items():
        assert {row.field for row in rows() if row.kind == kind} == set(reasons)


def test_ray_serve_says_so_too() -> None:
    """All replicas of an app start anew where Ray Serve counts another version of it."""
    from ray.serve._private.deploy_utils import get_app_code_version
    from ray.serve.schema import ServeApplicationSchema

    @cache
    def version(app: str) -> str:
        found: str = get_app_code_version(ServeApplicationSchema.model_validate(json.loads(app)))
        return found

    def versions(spec: Document) -> dict[str, str]:
        apps = json.loads(made(spec)[0][-1]["spec"]["serveConfigV2"])["applications"]
        return {app["name"]: version(json.dumps(app)) for app in apps}

    for row in rows():
        if row.kind in ("InPlace", "LivePatch", "AddWorkers"):
            before, after = versions(row.was), versions(row.now)
            anew = any(before[name] != after[name] for name in before.keys() & after.keys())
            assert anew == (row.restarts == "app"), row.title


def test_the_page_has_the_table(request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text[:begin] + table(rows()) + text[end:])
        return
    update = "write it anew: pytest tests/contract/test_field_effects.py --update-golden"
    assert text[begin:end] == table(rows()), update
