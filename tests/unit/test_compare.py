"""The lines of YAML in the table of four jobs are those of the page itself."""

import re

from support.repository import DOCS

PAGE = (DOCS / "compare.md").read_text()
_ROW = re.compile(r"^\| \[[^]]+\]\(#([^)]+)\) \| (\d+)", re.MULTILINE)
_BLOCK = re.compile(r"^### ([^\n]+)\n\n```yaml\n(.*?)```", re.MULTILINE | re.DOTALL)


def anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def test_the_lines_are_counted() -> None:
    said = {name: int(lines) for name, lines in _ROW.findall(PAGE)}
    counted = {anchor(heading): len(block.splitlines()) for heading, block in _BLOCK.findall(PAGE)}
    assert len(said) == 4
    assert said == counted
