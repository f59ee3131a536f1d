"""Files of YAML documents, with the line of every field.

Read as kubectl reads them, and as strictly: a key given twice is an error, timestamps stay text, and aliases may not
blow a
small file up into a large object.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any, Final

import yaml

from llmpipeline import names
from llmpipeline.api.parse import parse
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.plan.plan import make_plan
from llmpipeline.plan.types import Plan
from llmpipeline.problems import Path, Problem

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()
_MOST_NODES: Final = 100_000
_DEEPEST: Final = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A problem, and where it stands."""

    file: str
    line: int
    problem: Problem

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Read:
    """A sound pipeline of a file, with its plan."""

    file: str
    pipeline: LLMPipeline
    plan: Plan


class _UnreadableError(Exception):
    def __init__(self, node: yaml.Node, path: Path, message: str) -> None:
        super().__init__(message)
        self.line, self.path = node.start_mark.line + 1, path


def read_pipelines(sources: Iterable[str]) -> tuple[list[Read], list[Found]]:
    """Reads, parses and plans all pipelines in these files and folders; `-` is standard input.

    Returns:
        The sound ones, and the problems of the others. Documents of other kinds are passed over.
    """
    sound: list[Read] = []
    problems: list[Found] = []
    for source in sources:
        for file in _files(source):
            for item in _pipelines(file):
                (sound if isinstance(item, Read) else problems).append(item)  # type: ignore[arg-type]
    if not sound and not problems:
        problems.append(Found(", ".join(sources), 1, Problem((), f"no {names.KIND} in it", "see manifests/samples")))
    return sound, problems


def _files(source: str) -> list[str]:
    if source != "-" and File(source).is_dir():
        return sorted(str(file) for file in File(source).rglob("*") if file.suffix in (".yaml", ".yml", ".json"))
    return [source]


def _pipelines(file: str) -> Iterator[Read | Found]:
    shown = "<stdin>" if file == "-" else file
    try:
        text = (sys.stdin.buffer.read() if file == "-" else File(file).read_bytes()).decode("utf-8-sig")
        nodes = list(yaml.compose_all(text, _LOADER))
    except OSError as error:
        yield Found(shown, 1, Problem((), f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        yield Found(shown, 1, Problem((), f"is not UTF-8: {error.reason} at byte {error.start}"))
    except RecursionError:
        yield Found(shown, 1, Problem((), "is nested too deep"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error).splitlines()[0]
        yield Found(shown, mark.line + 1 if mark else 1, Problem((), f"is not YAML: {message}"))
    else:
        for node in nodes:
            yield from _pipeline(shown, node)


def _pipeline(file: str, node: yaml.Node | None) -> Iterator[Read | Found]:
    if node is None or node.tag == "tag:yaml.org,2002:null":  # an empty document, as templates leave them
        return
    try:
        document = _Values().of(node, ())
    except _UnreadableError as error:
        yield Found(file, error.line, Problem(error.path, str(error)))
        return
    if not isinstance(document, dict):
        yield Found(
            file, node.start_mark.line + 1, Problem((), "a document must be an object with apiVersion and kind")
        )
        return
    if document.get("kind") == "List" and isinstance(document.get("items"), list):
        for item in _field(node, "items").value:
            yield from _pipeline(file, item)
        return
    if document.get("kind") != names.KIND:
        return
    parsed = parse(document)
    if not isinstance(parsed, LLMPipeline):
        yield from (Found(file, line_of(node, problem.path), problem) for problem in parsed)
        return
    plan = make_plan(parsed)
    yield from (Found(file, line_of(node, problem.path), problem) for problem in plan.problems)
    if not plan.problems:
        yield Read(file, parsed, plan)


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
                raise _UnreadableError(key, path, "a key must be a text")
            if key.tag == "tag:yaml.org,2002:merge":
                merged = self._merged(value, path) | merged
            elif key.value in result:
                raise _UnreadableError(key, (*path, key.value), "is given twice")
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
