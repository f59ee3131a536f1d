"""YAML as kubectl and the API server read it, which is neither YAML 1.1 nor 1.2.

Both use Go's yaml.v2, and turn what it read into JSON: `1e6` and `1_000_000` are 1000000, `0o17` and `017` are 15, `y`
is true, and `12:30:45` and `2001-01-01` are strings. PyYAML reads each of these differently, so it only parses here.
Source: https://github.com/yaml/go-yaml/blob/v2.4.0/resolve.go and https://github.com/kubernetes-sigs/yaml
"""

import base64
import json
import re
from decimal import Decimal
from typing import Any, Final

import yaml

from llmpipeline.problems import Path

_MOST_NODES: Final = 100_000
_DEEPEST: Final = 64

_STANDARD: Final = "tag:yaml.org,2002:"
_WORDS: Final[dict[str, bool | None]] = {
    **{form: True for word in ("y", "yes", "true", "on") for form in (word, word.capitalize(), word.upper())},
    **{form: False for word in ("n", "no", "false", "off") for form in (word, word.capitalize(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(0[xX](?P<hex>[0-9a-fA-F]+)|0[oO]?(?P<octal>[0-7]+)|0[bB](?P<binary>[01]+)|(?P<decimal>0|[1-9][0-9]*))"
)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_PAIR: Final = re.compile(r"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_BASES: Final = {"hex": 16, "octal": 8, "binary": 2, "decimal": 10}
# From here on Go writes a float with an exponent, and a reader of the JSON sees that it is one.
_LARGEST_WHOLE: Final = 1e21


class UnreadableError(Exception):
    """What kubectl could not turn into JSON, and where it stands."""

    def __init__(self, node: yaml.Node, path: Path, message: str) -> None:
        super().__init__(message)
        self.line, self.path = node.start_mark.line + 1, path


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # either has the same methods
    """PyYAML, with Go's idea of what a scalar without quotes and tag is."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _STANDARD + _kind_of(value)
        tag: str = super().resolve(kind, value, (False, True))
        return tag


def nodes_of(text: str) -> list[yaml.Node | None]:
    """The documents of a file, with the line of everything in them.

    Raises:
        yaml.YAMLError: It is no YAML.
        RecursionError: It is nested too deep.
    """
    if text.lstrip().startswith("{"):
        # kubectl reads it as JSON, where two escapes may be one character; in YAML they are an error.
        text = _PAIR.sub(lambda pair: json.loads(f'"{pair[0]}"'), text)
    return list(yaml.compose_all(text, _Loader))


def value_of(node: yaml.Node) -> Any:
    """A node as a JSON value.

    Raises:
        UnreadableError: JSON has no such value, or it is too large.
    """
    return _Values().of(node, ())


def is_null(node: yaml.Node) -> bool:
    """Whether a document is empty, as templates leave them."""
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_STANDARD}null"


def field_of(node: yaml.Node, name: str) -> yaml.Node:
    """The value of an object's field."""
    found: yaml.Node = next(value for key, value in node.value if key.value == name)
    return found


def line_of(node: yaml.Node, path: Path) -> int:
    """The line of a field, from 1; of the innermost part of its path that is there, where it is not."""
    line = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if _is_key(pair[0], part)), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _is_key(node: yaml.Node, part: str | int) -> bool:
    try:
        return isinstance(node, yaml.ScalarNode) and _key(node, ()) == part
    except UnreadableError:
        return False


class _Values:
    """Turns nodes into values, and counts them: an alias is counted each time it is used."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > _MOST_NODES:
            raise UnreadableError(
                node, path, f"the document has more than {_MOST_NODES} values, or its aliases blow it up"
            )
        if len(path) > _DEEPEST:
            raise UnreadableError(node, path[:8], "is nested too deep")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        own: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UnreadableError(key, path, "a key must be a string")
            if key.tag == f"{_STANDARD}merge":
                # Go takes what comes last, be it a key or what `<<` brings.
                result |= self._merged(value, path)
                continue
            name = _key(key, path)
            if name in own:
                raise UnreadableError(key, (*path, name), "appears twice")
            own.add(name)
            result[name] = self.of(value, (*path, name))
        return result

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What `<<` brings in: one mapping, or several of which the first counts most."""
        brought: dict[str, Any] = {}
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            values = self.of(source, (*path, "<<"))
            if not isinstance(values, dict):
                raise UnreadableError(source, path, "<< takes an object or a list of objects")
            brought = values | brought
        return brought


def _key(node: yaml.ScalarNode, path: Path) -> str:
    """A key as the name of a JSON member."""
    value = _scalar(node, path)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and node.tag == f"{_STANDARD}float"):
        # Go writes it as its `g` does, of 32 bits, which is this as long as there are few digits.
        text = f"{float(value):g}"
        if float(text) != value:
            raise UnreadableError(node, path, f"a key must be a string; put {node.value} in quotes")
        return text
    if value is None:
        raise UnreadableError(node, path, "a key must be a string")
    return str(value)


def _scalar(node: yaml.ScalarNode, path: Path) -> Any:
    text: str = node.value
    wanted = node.tag.removeprefix(_STANDARD)
    if wanted == "binary":
        return _decoded(node, path)
    if wanted not in ("null", "bool", "int", "float"):
        return text
    kind = _kind_of(text)
    if kind != wanted and (kind, wanted) != ("int", "float"):
        raise UnreadableError(node, path, f"is not of type {wanted}: {text!r}")
    if kind in ("null", "bool"):
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise UnreadableError(node, path, f"must be a number that JSON has, not {text}")
    return _number(text)


def _decoded(node: yaml.ScalarNode, path: Path) -> str:
    try:
        return base64.b64decode(node.value).decode(errors="replace")
    except ValueError as error:
        raise UnreadableError(node, path, "is not base64") from error


def _kind_of(text: str) -> str:
    """The type of a scalar without quotes, by the name of its standard tag."""
    if text in _WORDS:
        return "null" if _WORDS[text] is None else "bool"
    if text == "<<":
        return "merge"
    if _NOT_FINITE.fullmatch(text):
        return "float"
    number = _number(text)
    if number is None:
        return "str"
    return "int" if _integer(text.replace("_", "")) is not None else "float"


def _number(text: str) -> int | float | None:
    """The number that JSON has for a text; nothing if it is not one."""
    if not text or text[0] not in "+-.0123456789":
        return None
    # Go drops underscores but in numbers that begin with the point.
    plain = text if text[0] == "." else text.replace("_", "")
    integer = _integer(plain)
    if integer is not None and abs(integer) < 2**63:
        return integer
    if integer is None and not _FLOAT.fullmatch(plain):
        return None
    number = float(plain if integer is None else integer)
    if abs(number) == float("inf"):
        return None
    if number.is_integer() and abs(number) < _LARGEST_WHOLE:
        # As short as it can be and still mean this float, not with all digits that Python has for it.
        return int(Decimal(repr(number)))
    return number


def _integer(plain: str) -> int | None:
    """An integer that fits into 64 bits, with or without a sign."""
    match = _INTEGER.fullmatch(plain)
    if not match:
        return None
    kind = next(kind for kind in _BASES if match[kind] is not None)
    if len(match[kind]) > 64:
        return None
    size = int(match[kind], _BASES[kind])
    value = -size if match["sign"] == "-" else size
    fits = -(2**63) <= value < 2**63 or (not match["sign"] and value < 2**64)
    return value if fits else None
