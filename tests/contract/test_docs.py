"""Every pipeline on the pages of `docs` is valid, as `llmpipeline validate` sees it."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmpipeline.cli.documents import read_pipelines
from support.repository import DOCS, ROOT

# The samples have tests of their own; the page of them is a copy.
COPIES = DOCS / "reference"
# Its pipeline has an app that tests/apps/test_add_a_kind.py adds.
NOT_YET = DOCS / "add-a-kind-of-app.md"
LEAST = 20
KIND = "kind: LLMPipeline"
_FENCE = re.compile(r"^( *)```ya?ml[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def blocks() -> Iterator[tuple[str, str]]:
    """The blocks with a pipeline, each with its page and number."""
    for page in sorted(DOCS.rglob("*.md")):
        if COPIES in page.parents or page == NOT_YET:
            continue
        for number, (_, fenced) in enumerate(_FENCE.findall(page.read_text()), 1):
            # As the pages ask their readers to do.
            text = textwrap.dedent(fenced).replace("REGISTRY/", "registry.example/")
            if KIND in text.splitlines():
                yield f"{page.relative_to(DOCS)}-{number}", text


BLOCKS = dict(blocks())


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= LEAST, f"found {len(BLOCKS)}: has the form of the fences changed?"


@pytest.mark.parametrize("where", BLOCKS)
def test_a_block_is_valid(where: str, tmp_path: Path) -> None:
    file = tmp_path / "block.yaml"
    file.write_text(BLOCKS[where])
    sound, problems = read_pipelines([str(file)])
    assert not problems, "\n".join(map(str, problems))
    assert len(sound) == BLOCKS[where].splitlines().count(KIND)


_ATTACK = re.compile(r"^\| .* \(\w\d.*\) \| (.*) \|$", re.MULTILINE)


def test_the_tests_that_the_security_page_names_exist() -> None:
    cells = _ATTACK.findall((DOCS / "security.md").read_text())
    assert len(cells) > 15, "has the form of the table changed?"
    for where in (part for cell in cells for part in cell.split("; ")):
        file, _, tests = where.partition(": ")
        path = ROOT / "tests" / file
        assert path.exists(), where
        for name in re.findall(r"`(test_\w+)`", tests):
            assert f"def {name}(" in path.read_text(), where
