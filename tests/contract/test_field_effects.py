"""What a change of each field of `spec` does: no field without a row, every row true, and the page's table of them."""

import json
from functools import cache

import pytest

from llmpipeline import desired
from llmpipeline.desired import Desired, Rejected
from llmpipeline.effect import effect_of
from llmpipeline.effect.serve_config import other_deployments, parsed, replaced
from support.effects.edits import Document, Row
from support.effects.rows import CLASSES, IGNORED, NOTHING, document, fields, rows
from support.effects.table import table
from support.repository import DOCS

PAGE = DOCS / "updates.md"
BEGIN, END = "<!-- fields: begin -->\n\n", "\n<!-- fields: end -->"


def made(spec: Document) -> Desired | Rejected:
    """What a cluster should have for a spec."""
    return _made(json.dumps(spec))


@cache
def _made(spec: str) -> Desired | Rejected:
    return desired.compile(document(json.loads(spec)), classes=CLASSES)


def restarts(before: Desired, after: Desired) -> str:
    """Whose replicas restart, by what the effect says."""
    old, new = (parsed(one.service["spec"]["serveConfigV2"]) for one in (before, after))
    assert old is not None
    assert new is not None
    found = replaced(old, new)
    if any(item.whole for item in found) or other_deployments(old, new):
        return "app"
    return "deployment" if found else ""


def test_every_field_has_a_row() -> None:
    known = set(fields())
    in_rows = {row.field for row in rows()}
    assert known - in_rows == set(), "fields of the schema without a row in tests/support/effects/{apps,cluster}.py"
    holders = {field.rsplit(".", count)[0] for field in known for count in range(1, field.count("."))}
    assert in_rows - known - holders == set(), "rows of fields that the schema does not have"


def test_a_row_is_there_once() -> None:
    titles = [row.title for row in rows()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.title)
def test_an_edit_does_what_its_row_says(row: Row) -> None:
    before, after = made(row.was), made(row.now)
    assert isinstance(before, Desired)
    if row.kind == "Rejected":
        assert isinstance(after, Rejected)
        blamed = {".".join(str(part) for part in problem.path if isinstance(part, str)) for problem in after.problems}
        # Of a model's `resources` it is the GPUs that are blamed.
        field = row.field.replace("resources.accelerator.", "resources.")
        assert field.rpartition(".")[0] in {it.rpartition(".")[0] for it in blamed}
        return
    assert isinstance(after, Desired)
    effect = effect_of(before.service, after.service)
    companions = before.companions != after.companions
    if row.kind in ("Nothing", "Companions"):
        assert (effect.kind, effect.fields, companions) == ("Unchanged", (), row.kind == "Companions")
        return
    assert effect.kind == row.kind
    assert effect.fields, "the edit changes nothing"
    if row.kind == "NewCluster":
        assert effect.gpus_more == sum(group.gpus * group.hosts * group.replicas.minimum for group in after.plan.groups)
    else:
        assert restarts(before, after) == row.restarts
        # At most all replicas of each deployment that restarts, as far as the groups can grow.
        replicas = sum(demand.gpus * demand.replicas.minimum for demand in after.plan.demands)
        room = sum(group.gpus * group.hosts * (group.replicas[1] - group.replicas[0]) for group in after.plan.groups)
        if row.restarts == "app" and not effect.interrupts:
            assert min(1, replicas, room) <= effect.gpus_more <= min(replicas, room)
        else:
            assert effect.gpus_more <= (min(replicas, room) if row.restarts else 0)


def test_nothing_is_ignored_without_a_reason() -> None:
    silent = {"Nothing": NOTHING, "Ignored": IGNORED}
    for kind, reasons in silent.items():
        assert {row.field for row in rows() if row.kind == kind} == set(reasons)


def test_ray_serve_says_so_too() -> None:
    """All replicas of an app restart if Ray Serve counts another version of it."""
    from ray.serve._private.deploy_utils import get_app_code_version
    from ray.serve.schema import ServeApplicationSchema

    @cache
    def version(app: str) -> str:
        found: str = get_app_code_version(ServeApplicationSchema.model_validate(json.loads(app)))
        return found

    def versions(spec: Document) -> dict[str, str]:
        wanted = made(spec)
        assert isinstance(wanted, Desired)
        apps = json.loads(wanted.service["spec"]["serveConfigV2"])["applications"]
        return {app["name"]: version(json.dumps(app)) for app in apps}

    for row in rows():
        if row.kind in ("InPlace", "LivePatch", "AddWorkers"):
            before, after = versions(row.was), versions(row.now)
            restart = any(before[name] != after[name] for name in before.keys() & after.keys())
            assert restart == (row.restarts == "app"), row.title


def test_the_page_has_the_table(request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text[:begin] + table(rows()) + text[end:])
        return
    update = "write it again: pytest tests/contract/test_field_effects.py --update-golden"
    assert text[begin:end] == table(rows()), update
