"""The site of the documentation: built without a broken link, and nothing in it loaded from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmpipeline.conditions import reasons
from support.repository import DOCS, ROOT

LARGEST = 300_000
# What a browser loads by itself: not the links that a reader follows.
_LOADED = re.compile(r"""<(?:script|img|iframe|source)[^>]+src=["']?(https?:)?//|<link[^>]+href=["']?(https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(to)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return to


def test_every_page_is_there(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert pages <= {page.relative_to(site) for page in site.rglob("*.html")}


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = {page.name: _LOADED.search(page.read_text()) for page in site.rglob("*.html")}
    assert not {name: match[0] for name, match in found.items() if match}


def test_every_reason_is_explained() -> None:
    page = (DOCS / "how-to" / "troubleshoot.md").read_text()
    assert {reason.word for reason in reasons() if f"| `{reason.word}` |" not in page} == set()


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_is_short_enough_to_open(page: Path) -> None:
    assert page.stat().st_size < LARGEST
