"""Every pipeline on the pages of `docs` is valid, as `llmpipeline validate` sees it."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmpipeline.cli.documents import read_pipelines

DOCS = Path(__file__).parents[2] / "docs"
# The samples have tests of their own; the page of them is a copy.
COPIES = DOCS / "reference"
LEAST = 20
KIND = "kind: LLMPipeline"
_FENCE = re.compile(r"^( *)```ya?ml[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def blocks() -> Iterator[tuple[str, str]]:
    """The blocks with a pipeline, each with its page and number."""
    for page in sorted(DOCS.rglob("*.md")):
        if COPIES in page.parents:
            continue
        for number, (_, fenced) in enumerate(_FENCE.findall(page.read_text()), 1):
            text = textwrap.dedent(fenced)
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
