"""Files of YAML documents, with the line of every field.

Read as kubectl reads them, and as strictly: a key given twice is an error, timestamps stay text, and aliases may not
blow a small file up into a large object.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any, Final

import yaml

from llmpipeline import desired, names
from llmpipeline.desired import Desired
from llmpipeline.names import Key
from llmpipeline.problems import Path, Problem
from llmpipeline.render.platform import DEFAULT, Platform

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()
_MOST_NODES: Final = 100_000
_DEEPEST: Final = 64


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


class _UnreadableError(Exception):
    def __init__(self, node: yaml.Node, path: Path, message: str) -> None:
        super().__init__(message)
        self.line, self.path = node.start_mark.line + 1, path


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
        wanted = desired.compile(_placed(item.content, namespace), platform)
        if isinstance(wanted, Desired):
            sound.append(LoadedPipeline(item.file, wanted))
        else:
            problems += [LocatedProblem(item.file, line_of(item.node, found.path), found) for found in wanted.problems]
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
    if source != "-" and os.path.isdir(source):  # noqa: PTH112  # Path.is_dir raises on a name too long
        found = (File(folder, name) for folder, _, inside in os.walk(source) for name in inside)
        return sorted(str(file) for file in found if file.suffix in (".yaml", ".yml", ".json"))
    return [source]


def _documents(file: str) -> Iterator[_Document | LocatedProblem]:
    shown = "<stdin>" if file == "-" else file
    try:
        text = (sys.stdin.buffer.read() if file == "-" else File(file).read_bytes()).decode("utf-8-sig")
        nodes = list(yaml.compose_all(text, _LOADER))
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
    if node is None or node.tag == "tag:yaml.org,2002:null":  # an empty document, as templates leave them
        return
    try:
        document = _Values().of(node, ())
    except _UnreadableError as error:
        yield LocatedProblem(file, error.line, Problem(error.path, str(error)))
        return
    if not isinstance(document, dict):
        yield LocatedProblem(
            file, node.start_mark.line + 1, Problem((), "a document must be an object with apiVersion and kind")
        )
        return
    if document.get("kind") == "List" and isinstance(document.get("items"), list):
        for item in _field(node, "items").value:
            yield from _document(file, item)
        return
    if document.get("kind") == names.KIND:
        yield _Document(file, node, document)


def line_of(node: yaml.Node, path: Path) -> int:
    """The line of a field, from 1; of the innermost part of its path that is there, where it is not."""
    line = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _field(node: yaml.Node, name: str) -> yaml.Node:
    found: yaml.Node = next(value for key, value in node.value if key.value == name)
    return found


class _Values:
    """Turns nodes into values, and counts them: an alias is counted each time it is used."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > _MOST_NODES:
            raise _UnreadableError(
                node, path, f"the document has more than {_MOST_NODES} values, or its aliases blow it up"
            )
        if len(path) > _DEEPEST:
            raise _UnreadableError(node, path[:8], "is nested too deep")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        result: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _UnreadableError(key, path, "a key must be a string")
            if key.tag == "tag:yaml.org,2002:merge":
                merged = self._merged(value, path) | merged
            elif key.value in result:
                raise _UnreadableError(key, (*path, key.value), "appears twice")
            else:
                result[key.value] = self.of(value, (*path, key.value))
        return merged | result

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What `<<` brings in: one mapping, or several of which the first counts most."""
        brought: dict[str, Any] = {}
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            values = self.of(source, (*path, "<<"))
            if not isinstance(values, dict):
                raise _UnreadableError(source, path, "<< takes an object or a list of objects")
            brought = values | brought
        return brought

    @staticmethod
    def _scalar(node: yaml.ScalarNode, path: Path) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return _CONSTRUCTOR.construct_yaml_bool(node)
            if kind == "int":
                return _CONSTRUCTOR.construct_yaml_int(node)
            if kind == "float":
                return _CONSTRUCTOR.construct_yaml_float(node)
        except (ValueError, LookupError) as error:
            raise _UnreadableError(node, path, f"is not of type {kind}: {node.value!r}") from error
        return node.value
