"""Files of YAML documents, with the line of every field.

What is accepted is what the API server accepts, and the operator after it. So a field given twice is an error, which
kubectl itself passes over.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import yaml

from llmpipeline import desired, names
from llmpipeline.api import object_meta
from llmpipeline.classes import check
from llmpipeline.classes.choose import Classes, is_default, laid_over, name_of
from llmpipeline.cli.kubectl_yaml import UnreadableError, field_of, is_null, line_of, nodes_of, value_of
from llmpipeline.desired import Desired, Rejected
from llmpipeline.names import Key, Manifest
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
class LoadedClass:
    """A sound class of a file."""

    file: str
    document: Manifest

    @property
    def name(self) -> str:
        """Its name."""
        return name_of(self.document)

    @property
    def is_default(self) -> bool:
        """Whether it is that of pipelines which name none."""
        return is_default(self.document)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What files have: the sound pipelines and classes, and the problems of the others.

    Attributes:
        pipelines: Compiled with the classes.
        classes: Those of the files themselves, without those that `--class` names.
        problems: Of all of them.
        known: All classes by which pipelines were compiled.
    """

    pipelines: list[LoadedPipeline]
    classes: list[LoadedClass]
    problems: list[LocatedProblem]
    known: Classes


@dataclass(frozen=True, slots=True)
class _Document:
    """A document of one of our kinds, and where it stands."""

    file: str
    node: yaml.Node
    content: dict[str, Any]

    def located(self, found: Iterable[Problem]) -> list[LocatedProblem]:
        """Problems with the lines of their fields."""
        return [LocatedProblem(self.file, line_of(self.node, problem.path), problem) for problem in found]


@dataclass(frozen=True, slots=True)
class Read:
    """Documents of files, before they are compiled.

    Attributes:
        shown: The files.
        items: Their documents, and what cannot be read.
        class_items: The same of those that `--class` names.
    """

    shown: str
    items: "list[_Document | LocatedProblem]"
    class_items: "list[_Document | LocatedProblem]"


def read_pipelines(
    sources: Iterable[str], namespace: str = "", platform: Platform = DEFAULT
) -> tuple[list[LoadedPipeline], list[LocatedProblem]]:
    """The sound pipelines of files and folders, and the problems of the others, as `read_files` does it."""
    loaded = read_files(sources, namespace, platform)
    return loaded.pipelines, loaded.problems


def read_files(
    sources: Iterable[str], namespace: str = "", platform: Platform = DEFAULT, *, class_files: Iterable[str] = ()
) -> Loaded:
    """Reads and compiles all pipelines in these files and folders; `-` is standard input.

    Args:
        sources: Paths.
        namespace: That of documents which name none; empty: as the resource has it.
        platform: What administrators decided for all pipelines.
        class_files: Paths of more classes.

    Returns:
        What is in them. Documents of other kinds are passed over.
    """
    return compiled(read(sources, class_files), namespace, platform)


def read(sources: Iterable[str], class_files: Iterable[str] = ()) -> Read:
    """Reads all documents of our kinds in files and folders, each file once."""
    own = list(sources)
    items, more = (
        [it for one in some for file in _files(one) for it in _documents(file)] for some in (own, class_files)
    )
    return Read(", ".join(own), items, more)


def compiled(
    given: Read, namespace: str = "", platform: Platform = DEFAULT, of_cluster: Classes | None = None
) -> Loaded:
    """Compiles the pipelines among documents that were read.

    Args:
        given: The documents.
        namespace: As `read_files` takes it.
        platform: As `read_files` takes it.
        of_cluster: The classes of the cluster; those of files take their places. None: no cluster was asked.
    """
    problems = [item for item in given.items if isinstance(item, LocatedProblem)]
    own, failed = _classes(given.items)
    more, failed_too = _classes(given.class_items)
    problems += [*failed, *failed_too, *(item for item in given.class_items if isinstance(item, LocatedProblem))]
    known = _known([*own, *more], of_cluster)
    sound: list[LoadedPipeline] = []
    for item in given.items:
        if isinstance(item, _Document) and item.content["kind"] == names.KIND:
            found = _compiled(item, namespace, platform, known)
            if isinstance(found, LoadedPipeline):
                sound.append(found)
            else:
                problems += found
    if not (sound or own or problems):
        nothing = Problem((), f"no {names.KIND} in it", "see manifests/samples")
        problems.append(LocatedProblem(given.shown, 1, nothing))
    return Loaded(sound, own, problems, known)


def _compiled(
    item: _Document, namespace: str, platform: Platform, classes: Classes
) -> LoadedPipeline | list[LocatedProblem]:
    document = _placed(item.content, namespace)
    wanted = desired.compile(document, platform, classes)
    found = list(object_meta.problems(document))
    if isinstance(wanted, Rejected):
        said = {problem.path for problem in found}
        found += [problem for problem in wanted.problems if problem.path not in said]
    elif not found:
        return LoadedPipeline(item.file, wanted)
    return item.located(found)


def _classes(items: "Iterable[_Document | LocatedProblem]") -> tuple[list[LoadedClass], list[LocatedProblem]]:
    """The sound classes among documents, and the problems of the others."""
    sound: list[LoadedClass] = []
    problems: list[LocatedProblem] = []
    for item in items:
        if isinstance(item, _Document) and item.content["kind"] == names.CLASS_KIND:
            found = {problem.path: problem for problem in object_meta.problems(item.content)}
            found |= {problem.path: problem for problem in check.problems(item.content)}
            if not found:
                sound.append(LoadedClass(item.file, item.content))
            problems += item.located(found.values())
    return sound, problems


def _known(loaded: Iterable[LoadedClass], of_cluster: Classes | None) -> Classes:
    documents = [one.document for one in loaded]
    if of_cluster is None or (of_cluster.unread and documents):
        return Classes(laid_over(documents, ()), is_partial=True)
    return Classes(laid_over(documents, of_cluster.documents), of_cluster.unread)


def _placed(document: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The document in this namespace, as kubectl would apply it, if it names none itself."""
    metadata = document.get("metadata")
    if not namespace or not isinstance(metadata, dict) or metadata.get("namespace") is not None:
        return document
    return {**document, "metadata": {**metadata, "namespace": namespace}}


def _files(source: str) -> list[str]:
    if source != "-" and os.path.isdir(source):  # noqa: PTH112  # Path.is_dir raises on a name too long
        found = (File(folder, name) for folder, _, inside in os.walk(source) for name in inside)
        return sorted(str(file) for file in found if file.suffix in (".yaml", ".yml", ".json"))
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
    elif kind in (names.KIND, names.CLASS_KIND):
        yield _Document(file, node, document)
    elif str(api_version).partition("/")[0] == names.GROUP or str(kind).lower().startswith(names.SINGULAR):
        line = line_of(node, ("kind",))
        yield LocatedProblem(
            file, line, Problem(("kind",), f"there is no kind {kind}", f"write {_kind_like(str(kind))}")
        )


def _kind_like(kind: str) -> str:
    return names.CLASS_KIND if "class" in kind.lower() else names.KIND
