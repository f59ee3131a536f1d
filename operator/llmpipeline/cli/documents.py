"""Files of YAML documents, with the line of every field.

What is accepted is what the API server accepts, and the operator after it. So a field given twice is an error, which
kubectl itself passes over.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import yaml

from llmpipeline import desired, names
from llmpipeline.api import object_meta
from llmpipeline.cli.kubectl_yaml import UnreadableError, field_of, is_null, line_of, nodes_of, value_of
from llmpipeline.desired import Desired, Rejected
from llmpipeline.names import Key
from llmpipeline.problems import Problem
from llmpipeline.render.platform import DEFAULT, Platform


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    """A problem, and where it stands."""

    file: str
    line: int
    problem: Problem

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.problem}"


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """A sound pipeline of a file, with all that a cluster should have for it."""

    file: str
    desired: Desired

    @property
    def key(self) -> Key:
        """Its namespace and name."""
        return Key(self.desired.metadata.namespace, self.desired.metadata.name)


@dataclass(frozen=True, slots=True)
class _Document:
    """A document of our kind, and where it stands."""

    file: str
    node: yaml.Node
    content: dict[str, Any]


def read_pipelines(
    sources: Iterable[str], namespace: str = "", platform: Platform = DEFAULT
) -> tuple[list[LoadedPipeline], list[LocatedProblem]]:
    """Reads and compiles all pipelines in these files and folders; `-` is standard input.

    Args:
        sources: Paths.
        namespace: That of documents which name none; empty: as the resource has it.
        platform: What administrators decided for all pipelines.

    Returns:
        The sound ones, and the problems of the others. Documents of other kinds are passed over.
    """
    sound: list[LoadedPipeline] = []
    problems: list[LocatedProblem] = []
    for item in (item for source in sources for file in _files(source) for item in _documents(file)):
        if isinstance(item, LocatedProblem):
            problems.append(item)
            continue
        document = _placed(item.content, namespace)
        wanted = desired.compile(document, platform)
        found = list(object_meta.problems(document))
        if isinstance(wanted, Rejected):
            said = {problem.path for problem in found}
            found += [problem for problem in wanted.problems if problem.path not in said]
        elif not found:
            sound.append(LoadedPipeline(item.file, wanted))
        problems += [LocatedProblem(item.file, line_of(item.node, problem.path), problem) for problem in found]
    if not sound and not problems:
        nothing = Problem((), f"no {names.KIND} in it", "see manifests/samples")
        problems.append(LocatedProblem(", ".join(sources), 1, nothing))
    return sound, problems


def _placed(document: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The document in this namespace, as kubectl would apply it, if it names none itself."""
    metadata = document.get("metadata")
    if not namespace or not isinstance(metadata, dict) or metadata.get("namespace") is not None:
        return document
    return {**document, "metadata": {**metadata, "namespace": namespace}}


def _files(source: str) -> list[str]:
    if source != "-" and File(source).is_dir():
        return sorted(str(file) for file in File(source).rglob("*") if file.suffix in (".yaml", ".yml", ".json"))
    return [source]


def _documents(file: str) -> Iterator[_Document | LocatedProblem]:
    shown = "<stdin>" if file == "-" else file
    try:
        text = (sys.stdin.buffer.read() if file == "-" else File(file).read_bytes()).decode("utf-8-sig")
        nodes = nodes_of(text)
    except OSError as error:
        yield LocatedProblem(shown, 1, Problem((), f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        yield LocatedProblem(shown, 1, Problem((), f"is not UTF-8: {error.reason} at byte {error.start}"))
    except RecursionError:
        yield LocatedProblem(shown, 1, Problem((), "is nested too deep"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error).splitlines()[0]
        yield LocatedProblem(shown, mark.line + 1 if mark else 1, Problem((), f"is not YAML: {message}"))
    else:
        for node in nodes:
            yield from _document(shown, node)


def _document(file: str, node: yaml.Node | None) -> Iterator[_Document | LocatedProblem]:
    if node is None or is_null(node):
        return
    try:
        document = value_of(node)
    except UnreadableError as error:
        yield LocatedProblem(file, error.line, Problem(error.path, str(error)))
        return
    if not isinstance(document, dict):
        yield LocatedProblem(
            file, node.start_mark.line + 1, Problem((), "a document must be an object with apiVersion and kind")
        )
        return
    kind, api_version = document.get("kind"), document.get("apiVersion")
    if kind == "List" and isinstance(document.get("items"), list):
        for item in field_of(node, "items").value:
            yield from _document(file, item)
    elif kind == names.KIND:
        yield _Document(file, node, document)
    elif str(api_version).partition("/")[0] == names.GROUP or str(kind).lower().startswith(names.SINGULAR):
        line = line_of(node, ("kind",))
        yield LocatedProblem(file, line, Problem(("kind",), f"there is no kind {kind}", f"write {names.KIND}"))
