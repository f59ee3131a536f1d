"""Files as people write them: sound ones, and ones with one mistake, as the text that kubectl would send.

A mistake is made in the tree of YAML nodes, for a key given twice and a number like `0o17` exist only there.
"""

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from pydantic.alias_generators import to_snake

from llmpipeline.api.crd import openapi_schema
from support import repository
from support.strategies.specs import WORDS, Document, Schema, documents, value_of
from support.wrong_specs.cluster import CLUSTER_CASES
from support.wrong_specs.specs import CASES, Case, sample

# Scalars without quotes that the readers of YAML do not agree about.
SCALARS: Final = (
    "1e6", "1e0", "1E2", "1.0", "2.", ".5", "0.5", "1.5e3", "-0", "-0.0", "+3", "0o17", "017", "08", "0x1F", "0b11",
    "1_000", "1__0", "_1", "1_0.5", "12:30:45", "1:30", "2001-01-01", "y", "Y", "n", "yes", "No", "on", "OFF", "tRue",
    "true", "~", "null", "NULL", "nUll", "", ".nan", ".inf", "-.INF", "+.inf", "1e400", "1e21", "99999999999999999999",
    "18446744073709551615", "9223372036854775808", "0xFFFFFFFFFFFFFFFFF", "-1", "0", "2147483648", "1e-7", "=", "2.60",
    "0x1p-2", "!!str 5", '!!int "7"', "!!float 5", "!!int x", "!!bool y", "!thing 5", "!!binary aGk=", "!!null x", "<<",
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None, True, 0, 1, -1, 2, 65536, 10**7, 2**40, 2**63, 0.5, 1.5, 1e10, "", "a", "a b", "A", "1", "a\n", "a\u00a0b",
    "\u00e9", "\u0661", "x" * 64, "x" * 300, "x" * 5000, "/", "/a/", "2Gi", "0.5", "500m", "1e3", "Default", "auto",
    [], {}, [None], [[]], [{}], ["a", "a"], {"a": None}, {"a": 1}, {"a": "b"}, {"": ""}, "http://a/v1/traces//",
    "10.0.0.0/99", "010.0.0.0/8", "::ffff:10.0.0.0/104", "fe80::1%1/64", "200T", "1000P", "$(A)",
)  # fmt: skip
_QUANTITIES: Final = (
    "0", "1", "-1", "1.5", "01", ".5", "1.", "500m", "1e3", "1Ki", "1k", "1K", "0.5Gi", "64", "65", "0.25", "0.1230",
    "999m", "1000m", "100T", "200T",
)  # fmt: skip
_FIELDS: Final = ("foo", "x-common", "Name", "names", "", "apiVersion", "status", "annotation", "env", "args", "\u00e9")
_OWNER: Final = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}
# Of the metadata: good and bad.
_KEYS: Final = (
    "a", "a b", "a/b", "A/b", "a.b/C.d_e", "a/b/c", "/a", "a/", "-a", "x" * 63, "x" * 64, f"{'x.' * 126}x/a",
    f"{'x.' * 127}x/a", "EXAMPLE.com/Team", "\u00e9", "a\n", "",
)  # fmt: skip
_LABELS: Final[tuple[Any, ...]] = ("", "a b", "A-1.b_c", "-a", "x" * 63, "x" * 64, 1, True, None, [], "a\n")
_ANNOTATIONS: Final[tuple[Any, ...]] = ("a b\n", "", None, 1, {}, "x" * 257 * 1024)
_METADATA: Final[dict[str, tuple[Any, ...]]] = {
    "namespace": ("ml", "team-a", None, "", "My_NS", "a.b", "-a", "x" * 64, 5, "a\n", ["a"]),
    "name": (None, "", "A", "a_b", "a.b", "1a", "-a", "x" * 47, "x" * 48, "a\n", 5, "\u00e9"),
    "labels": (None, [], *({key: "x"} for key in _KEYS), *({"a": value} for value in _LABELS)),
    "annotations": ("a", *({key: "x"} for key in _KEYS), *({"a": value} for value in _ANNOTATIONS)),
    "finalizers": ([], ["example.com/a"], ["a b"], "a", [1], None, ["orphan", "foregroundDeletion"]),
    "ownerReferences": (
        [], None, [{}], [_OWNER], [{"kind": "Pod", "name": "a", "uid": "b"}], [{**_OWNER, "uid": ""}],
        [{**_OWNER, "foo": 1}], [{**_OWNER, "name": "a", "controller": True}, {**_OWNER, "controller": True}],
        [{**_OWNER, "name": "b", "controller": True}, {**_OWNER, "controller": True}], [{**_OWNER, "kind": "Event"}],
        [{**_OWNER, "apiVersion": "a/b/c"}], [{**_OWNER, "apiVersion": "a/"}],
    ),
    "creationTimestamp": (None, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+02:00", "today", 5),
    "generation": (3, "3"),
    "uid": ("0-1", 7),
    "resourceVersion": (5,),
    "managedFields": ([], {}),
    "deletionGracePeriodSeconds": (3, "3"),
    **dict.fromkeys(("annotation", "label", "generate_name", "clusterName", "foo"), ("a", {}, None)),
}  # fmt: skip
_SCHEMA: Final[Schema] = openapi_schema()
Node = yaml.Node
# A sequence or mapping node, and the place in its value.
_Place = tuple[Any, int]


def _samples() -> list[Document]:
    files = sorted(repository.SAMPLES.glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]


def _case(case: Case, *, is_right: bool) -> Document:
    document = sample()
    (case.right if is_right else case.wrong)(document)
    return document


# The specs that the tests of each rule have, and the samples.
_RIGHT: Final = [_case(case, is_right=True) for case in (*CASES, *CLUSTER_CASES)]
_WRONG: Final = [_case(case, is_right=False) for case in (*CASES, *CLUSTER_CASES)]
_SAMPLES: Final = _samples()


def _places(node: Node, kind: type[Node] | None = None) -> list[_Place]:
    """Every value in a tree, or every value of a kind, by what holds it."""
    found: list[_Place] = []
    waiting = [node]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, yaml.ScalarNode):
            continue
        for index, item in enumerate(holder.value):
            value = item[1] if isinstance(holder, yaml.MappingNode) else item
            if kind is None or isinstance(value, kind):
                found.append((holder, index))
            waiting.append(value)
    return found


def _get(place: _Place) -> Node:
    holder, index = place
    found: Node = holder.value[index][1] if isinstance(holder, yaml.MappingNode) else holder.value[index]
    return found


def _put(place: _Place, node: Node) -> None:
    holder, index = place
    is_object = isinstance(holder, yaml.MappingNode)
    holder.value[index] = (holder.value[index][0], node) if is_object else node


class _Representer(yaml.representer.SafeRepresenter):
    """Without aliases: a mistake is made in one place."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def node_of(value: Any) -> Node:
    """A value as nodes of YAML."""
    found: Node = _Representer(sort_keys=False).represent_data(value)
    return found


def _plain(text: str) -> Node:
    """A scalar that stands in the file as it stands here, with its tag if it has one."""
    return yaml.ScalarNode("tag:yaml.org,2002:str", f"raw{text.encode().hex()}raw")


def _rename(draw: DrawFn, root: Node) -> None:
    """A field in the spelling of Python, or with a letter too many."""
    holder, index = draw(st.sampled_from([place for place in _places(root) if isinstance(place[0], yaml.MappingNode)]))
    key, value = holder.value[index]
    name = draw(st.sampled_from([to_snake(key.value), f"{key.value}s", key.value.upper(), key.value.lower()]))
    holder.value[index] = (node_of(name), value)


def _add(draw: DrawFn, root: Node) -> None:
    """A field that is not known there."""
    objects = [root, *(_get(place) for place in _places(root, yaml.MappingNode))]
    holder = draw(st.sampled_from(objects))
    pair = (node_of(draw(st.sampled_from(_FIELDS))), node_of(draw(st.sampled_from(_VALUES))))
    holder.value.append(pair)


def _repeat_key(draw: DrawFn, root: Node) -> None:
    holder, index = draw(st.sampled_from([place for place in _places(root) if isinstance(place[0], yaml.MappingNode)]))
    holder.value.append(copy.deepcopy(holder.value[index]))


def _repeat_item(draw: DrawFn, root: Node) -> None:
    lists = [_get(place) for place in _places(root, yaml.SequenceNode) if _get(place).value]
    holder = draw(st.sampled_from(lists or [root]))
    if isinstance(holder, yaml.SequenceNode):
        holder.value.extend([holder.value[0]] * draw(st.sampled_from([1, 1, 200])))


def _replace(draw: DrawFn, root: Node) -> None:
    _put(draw(st.sampled_from(_places(root))), node_of(draw(st.sampled_from(_VALUES))))


def _respell(draw: DrawFn, root: Node) -> None:
    """A scalar that the readers of YAML do not agree about, in the place of another."""
    _put(draw(st.sampled_from(_places(root, yaml.ScalarNode))), _plain(draw(st.sampled_from(SCALARS))))


def _respell_key(draw: DrawFn, root: Node) -> None:
    holder, index = draw(st.sampled_from([place for place in _places(root) if isinstance(place[0], yaml.MappingNode)]))
    holder.value[index] = (_plain(draw(st.sampled_from(("y", "1", "~", "1.5", "0o17", "1e6")))), holder.value[index][1])


def _delete(draw: DrawFn, root: Node) -> None:
    holder, index = draw(st.sampled_from(_places(root)))
    del holder.value[index]


def _metadata(draw: DrawFn, root: Node) -> None:
    """A field of the metadata, good or bad."""
    (metadata,) = (value for key, value in root.value if key.value == "metadata")
    name = draw(st.sampled_from(sorted(_METADATA)))
    metadata.value = [pair for pair in metadata.value if pair[0].value != name]
    metadata.value.append((node_of(name), node_of(draw(st.sampled_from(_METADATA[name])))))


def _member(draw: DrawFn, root: Node) -> None:
    """A field that is known there, which may be one member of a union too many or break a rule with others."""
    holder, schema = draw(st.sampled_from(list(_objects(root, _SCHEMA))))
    there = {key.value for key, _ in holder.value}
    absent = [name for name in schema["properties"] if name not in there and name != "status"]
    if absent:
        name = draw(st.sampled_from(absent))
        holder.value.append((node_of(name), node_of(value_of(draw, schema["properties"][name], name))))


def _bound(draw: DrawFn, root: Node) -> None:
    """A value at the bounds of a known field, or just beyond them."""
    fields = [
        (holder, name, field)
        for holder, schema in _objects(root, _SCHEMA)
        for name, field in schema["properties"].items()
        if name != "status" and _at_bounds(field)
    ]
    holder, name, field = draw(st.sampled_from(fields))
    holder.value = [pair for pair in holder.value if pair[0].value != name]
    holder.value.append((node_of(name), node_of(draw(st.sampled_from(_at_bounds(field))))))


def _at_bounds(schema: Schema) -> list[Any]:
    if schema.get("x-kubernetes-int-or-string"):
        return [*_QUANTITIES, "", "1 ", "1\n", "1" * 40, -1, 0, 1, 64, 65, 10**14, 10**14 + 1, 0.5, 2.0, True]
    match schema.get("type"):
        case "integer" | "number":
            least, most = schema.get("minimum", 0), schema.get("maximum", 10)
            return [least - 1, least, least + 0.5, most, most + 1, float(most), most + 0.001, str(least), least / 2]
        case "string" if "enum" in schema:
            return [*schema["enum"], schema["enum"][0].lower(), schema["enum"][0].upper(), f"{schema['enum'][0]} ", 1]
        case "string":
            most = schema.get("maxLength", 64)
            words = [word for word in WORDS if re.fullmatch(schema.get("pattern", ""), word)] or ["a"]
            made = [word + more for word in words[:4] for more in ("", "\n", " ", "\u00a0", "-", ".", "/", "A", "1")]
            return [*made, "", "a" * most, "a" * (most + 1), "\u00e9" * most, "\U0001f642" * (most + 1), 1, True]
        case "array":
            return [[], [None], [{}], ["a"], ["a"] * (schema["maxItems"] + 1), {}, "a"]
        case "object" if "additionalProperties" in schema:
            many = {f"a{number}": "x" for number in range(schema.get("maxProperties", 8) + 1)}
            return [{}, {"a": "x" * 63}, {"a": "x" * 400}, {"a": 1}, {"a": None}, {"a b": "c"}, many, []]
    return []


def _objects(node: Node, schema: Schema) -> Iterator[tuple[Any, Schema]]:
    """Every object of the spec with the schema of its fields."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _objects(item, schema.get("items", {}))
    elif isinstance(node, yaml.MappingNode) and "properties" in schema:
        yield node, schema
        for key, value in node.value:
            yield from _objects(value, schema["properties"].get(key.value, {}))


MISTAKES: Final[tuple[Callable[[DrawFn, Node], None], ...]] = (
    _rename, _add, _repeat_key, _repeat_item, _replace, _respell, _respell, _respell_key, _delete, _metadata, _metadata,
    _member, _member, _bound, _bound, _bound,
)  # fmt: skip


def as_text(node: Node) -> str:
    """A tree as a file."""
    text: str = yaml.serialize(node, Dumper=yaml.CSafeDumper, allow_unicode=False, width=10**6)
    return re.sub(r"raw([0-9a-f]*)raw", lambda match: bytes.fromhex(match[1]).decode(), text)


@st.composite
def files(draw: DrawFn) -> str:
    """A file with one pipeline: a sound one, one that breaks a rule, or one with a mistake in one place."""
    base: SearchStrategy[Document] = st.one_of(
        documents(), st.sampled_from(_RIGHT), st.sampled_from(_RIGHT), st.sampled_from(_SAMPLES)
    )
    match draw(st.integers(0, 9)):
        case 0:
            return as_text(node_of(draw(base)))
        case 1:
            return as_text(node_of(draw(st.sampled_from(_WRONG))))
    root = node_of(draw(base))
    draw(st.sampled_from(MISTAKES))(draw, root)
    return as_text(root)
