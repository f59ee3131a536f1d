"""The site of the documentation: built without a broken link, and nothing in it loaded from elsewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmpipeline.conditions import reasons
from support.repository import DOCS, ROOT

LARGEST = 300_000
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
# What a browser loads by itself: not the links that a reader follows.
_LOADED = re.compile(r"""<(?:script|img|iframe|source)[^>]+src=["']?(https?:)?//|<link[^>]+href=["']?(https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from copies, because the site is written next to its configuration."""
    here = tmp_path_factory.mktemp("docs")
    shutil.copy(ROOT / "mkdocs.yml", here)
    shutil.copytree(DOCS, here / "docs")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(command, cwd=here, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return here / "site"


def test_every_page_is_there(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert pages <= {page.relative_to(site) for page in site.rglob("*.html")}


def test_every_picture_is_there_and_described() -> None:
    """The site's own check knows pages and headings alone."""
    shown = [(page, *found) for page in DOCS.rglob("*.md") for found in _PICTURE.findall(page.read_text())]
    assert len(shown) > 3
    missing = [(page.name, file) for page, text, file in shown if not text or not (page.parent / file).is_file()]
    assert missing == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = {page.name: _LOADED.search(page.read_text()) for page in site.rglob("*.html")}
    assert not {name: match[0] for name, match in found.items() if match}


def test_every_reason_is_explained() -> None:
    page = (DOCS / "how-to" / "troubleshoot.md").read_text()
    assert {reason.word for reason in reasons() if f"| `{reason.word}` |" not in page} == set()


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_is_short_enough_to_open(page: Path) -> None:
    assert page.stat().st_size < LARGEST
