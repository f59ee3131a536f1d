"""The marks of fields that run code: nothing that takes anybody's code or any Pod is without one."""

import re
from collections.abc import Iterator
from typing import Any

from llmpipeline.api.crd import marked_schema, openapi_schema
from llmpipeline.api.run_code import KEYWORD, marked
from llmpipeline.api.safe_variables import SAFE_VARIABLES
from support.repository import DOCS

SPEC = marked_schema()["properties"]["spec"]
# Objects of any form, and what makes them data.
DATA = {
    "spec.apps.graph.nodes.fallback": "the result of a node, a JSON object",
    "spec.apps.graph.output": "expressions of Jinja2, parsed by llmpipeline_serve.contract.templates",
}


def open_fields(node: dict[str, Any], at: str = "spec", covered: bool = False) -> Iterator[tuple[str, bool]]:
    """Every field that names code or takes anything, with whether a mark covers it: its own, of what holds it, or of a
    required field next to it."""
    node = node.get("items", node)
    fields = node.get("properties", {})
    covered = covered or any(marked(fields[name]) for name in node.get("required", ()))
    for name, field in fields.items():
        here, is_covered = f"{at}.{name}", covered or bool(marked(field))
        if field.get("x-kubernetes-preserve-unknown-fields") or name in ("importPath", "serviceAccountName"):
            yield here, is_covered
        yield from open_fields(field, here, is_covered)


def test_what_takes_anything_is_marked_or_data() -> None:
    found = dict(open_fields(SPEC))
    assert len(found) > 20
    assert {field for field, covered in found.items() if not covered} == set(DATA)


def test_the_crd_has_no_marks() -> None:
    assert KEYWORD not in str(openapi_schema())


def test_the_allowed_variables_are_those_of_the_page() -> None:
    page = (DOCS / "how-to" / "restrict-users.md").read_text()
    section = page.partition("### Allowed environment variables")[2].partition("All other variables")[0]
    assert sorted(re.findall(r"`([A-Za-z0-9_]+)`", section.partition("without `$(`")[2])) == sorted(SAFE_VARIABLES)
