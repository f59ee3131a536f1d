"""Checks the language of what users read, by vale and the words in hack/vale: `make lint`.

vale reads the Markdown files as they are. Of every other file it gets the sentences alone: the strings of the Python
code (messages, help, descriptions) and the comments of the samples and of the chart's values.

vale is taken from VALE, else from PATH, else it is built once by Go and a C compiler. Where none of these is there,
nothing is checked and the reason is printed.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from support.cache import user_cache
from support.repository import ROOT

VERSION: Final = "v3.21.0"
PROGRAM: Final = f"github.com/vale-cli/vale/v3/cmd/vale@{VERSION}"
MARKDOWN: Final = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "tests/**/*.md")
PYTHON: Final = ("operator/llmpipeline/**/*.py", "serve_apps/llmpipeline_serve/**/*.py", "hack/*.py")
COMMENTS: Final = (
    "manifests/samples/*.yaml",
    "operator/llmpipeline/cli/starters/*.yaml",
    "charts/*/values.yaml",
    "Makefile",
    "hack/*.sh",
)
TEXT: Final = ("charts/*/templates/NOTES.txt",)

Place = tuple[str, int]


def main() -> int:
    """The exit code: 1 where vale found something."""
    vale = find_vale()
    if isinstance(vale, str):
        print(f"lint_language: the language is not checked: {vale}", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        sentences = Path(folder) / "sentences.txt"
        places = write_sentences(sentences)
        pages = [str(it) for it in files(MARKDOWN)]
        command = [str(vale), "--config", ".vale.ini", "--output", "line", *pages, str(sentences)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    for line in done.stdout.splitlines():
        print(located(line, sentences, places))
    return done.returncode


def find_vale() -> Path | str:
    """The program, or why there is none."""
    if found := os.environ.get("VALE") or shutil.which("vale"):
        return Path(found)
    cached = user_cache() / f"vale-{VERSION}" / "vale"
    if cached.exists():
        return cached
    missing = [it for it in ("go", "cc") if not shutil.which(it)]
    if missing:
        return f"there is no vale, and no {' and no '.join(missing)} to build it; set VALE or install vale"
    print(f"lint_language: building vale {VERSION} (once, a minute or two)", file=sys.stderr)
    # CGO_ENABLED: vale parses source code by libraries in C.
    environment = {**os.environ, "GOBIN": str(cached.parent), "CGO_ENABLED": "1", "GOFLAGS": "-trimpath"}
    done = subprocess.run(["go", "install", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    return cached if done.returncode == 0 else f"vale cannot be built: {done.stderr.strip().splitlines()[-1]}"


def files(patterns: tuple[str, ...]) -> list[Path]:
    """The files that match, relative to the root."""
    return sorted({it.relative_to(ROOT) for pattern in patterns for it in ROOT.glob(pattern)})


def write_sentences(target: Path) -> dict[int, Place]:
    """Writes each string and comment as a paragraph of one line. Returns where the sentence of a line is from."""
    lines: list[str] = []
    places: dict[int, Place] = {}
    for path, number, sentence in sentences_of_files():
        lines += [re.sub(r"`[^`]*`|\s+", lambda it: " " if it[0].isspace() else "X", sentence).strip(), ""]
        places[len(lines) - 1] = (str(path), number)
    target.write_text("\n".join(lines))
    return places


def sentences_of_files() -> Iterator[tuple[Path, int, str]]:
    """Path, line and text of all that is no Markdown."""
    for path in files(PYTHON):
        for number, text in strings(ast.parse((ROOT / path).read_text())):
            yield path, number, text
    for path in files(COMMENTS):
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            if comment := re.search(r"(?:^|\s)#+ (.*)", line):
                yield path, number, comment[1]
    for path in files(TEXT):
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            yield path, number, re.sub(r"\{\{.*?\}\}", "X", line)


def strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each string of more than one word, with X for what an f-string fills in."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (it.value if isinstance(it, ast.Constant) else "X" for it in node.values)
            text = "".join(str(it) for it in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield node.lineno, text


def located(line: str, sentences: Path, places: dict[int, Place]) -> str:
    """The line of vale, with the place in the source where it spoke of our file of sentences."""
    name, number, column, rest = line.split(":", 3)
    if not name.endswith(sentences.name):
        return line
    path, at = places[int(number)]
    return f"{path}:{at}:{column}:{rest}"


if __name__ == "__main__":
    sys.exit(main())
