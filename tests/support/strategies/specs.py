"""LLMPipeline documents made at random, out of the resource's own schema: a new field is in them without an edit here.

`documents` keep to types, patterns and bounds; `sound_documents` are such without any problem. For what is neither, see
`hostile_documents`.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from llmpipeline.api.crd import openapi_schema
from llmpipeline.problems import Path, Problem
from support.pipelines import problems_of
from support.strategies.overlays import overlays

Document = dict[str, Any]
Schema = dict[str, Any]

# Each is used wherever a field's pattern and length let it in. They are few, so that what names another thing of the
# document often names one that is there.
WORDS = (
    "a", "b", "c", "chat", "a/b", "A-1", "m.v2", "2.56.0", "2.58.1", "2.60.0", "3.0.0", "/", "/a", "/a/b", "/models",
    "/data/gcs", "s3://bucket/a", "gs://b", "my_app:build", "my.app.policy", "redis:6379", "10.0.0.0/8", "::/0", "0",
    "1", "2", "500m", "0.5", "1.5", "2Gi", "64Mi", "2x4", "4x4", "2x2x2", "1g.10gb", "example.com", "*.example.com",
    "http://svc/path", "HF_HOME", "PATH", "RAY_SERVE_ENABLE_HA_PROXY", "HF_TOKEN", "X-User", "ingress",
)  # fmt: skip
TEXTS = (
    "request.text", "a.text", "a.label == 'X' and b.score > 0.5", "{{ request.text }} {{ a.text }}", "{{ a", "1 +",
    "request is none", "request is nothing", "'a' * 9", "{% for x in request.items %}{{ x }}{% endfor %}",
    "registry.example/ray:2.60.0", " ", "\u00e9\u4e16\U0001f642", 'quote " and \\ and \n',
)  # fmt: skip
# What a field of any object holds, where the field's name says more than its schema does.
EXTRA_ARGUMENTS = ("enable_prefix_caching", "max_num_seqs", "model", "disable_log_stats", "kv_transfer_config", "a")
# What a field mostly holds, where its schema takes any text and a check does not.
NAMED: dict[str, tuple[str, ...]] = {
    "image": ("registry.example/ray:2.60.0", "llmpipeline/serve:2.60.0-gpu", "llmpipeline/serve:2.60.0-base", "a/b"),
}
_ONE_OF = re.compile(r"\[.*\]\.exists_one\(given, given\)|has\(self\.\w+\) != has\(self\.\w+\)")
# A remedy that lists the names to choose from.
_CHOICES = re.compile(r"(?:apps to choose from|there are|known|known here|name one): (.+)")
_MEMBER = re.compile(r"has\(self\.(\w+)\)")


def json_values(most: int = 6) -> SearchStrategy[Any]:
    """JSON as a careful person writes it."""
    scalars = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.sampled_from(WORDS + TEXTS) | st.text()
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        scalars | numbers,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(), inner),
        max_leaves=most,
    )


def _json_objects(keys: SearchStrategy[str]) -> SearchStrategy[Document]:
    return st.dictionaries(keys, json_values(), max_size=3)


def _runtime_environments() -> SearchStrategy[Document]:
    uris = st.sampled_from(["https://example.com/a.zip", "s3://b/a.zip", "local:///a", "./here", "/there", ""])
    known: dict[str, SearchStrategy[Any]] = {
        "env_vars": st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS), max_size=2) | json_values(),
        "working_dir": uris | json_values(),
        "py_modules": st.lists(uris, max_size=2) | json_values(),
        "pip": st.lists(st.sampled_from(WORDS), max_size=2) | json_values(),
    }
    return st.fixed_dictionaries({}, optional=known)


SCHEMA: Schema = openapi_schema()["properties"]["spec"]
FREE: dict[str, Callable[[], SearchStrategy[Document]]] = {
    "podTemplate": lambda: overlays(json_values()),
    "runtimeEnv": _runtime_environments,
    "extra": lambda: _json_objects(st.sampled_from(EXTRA_ARGUMENTS)),
    "output": lambda: st.dictionaries(st.text(), st.sampled_from(TEXTS + WORDS) | json_values(), max_size=3),
}


@cache
def _texts(pattern: str, shortest: int, longest: int) -> SearchStrategy[str]:
    words = [word for word in (*WORDS, *TEXTS) if shortest <= len(word) <= longest]
    if not pattern:
        return st.sampled_from(words) | st.text(min_size=shortest, max_size=min(longest, 40))
    fitting = [word for word in words if re.fullmatch(pattern, word)]
    invented = st.from_regex(pattern, fullmatch=True).filter(lambda text: shortest <= len(text) <= longest)
    # Mostly words: invented names never meet.
    dice = st.integers(0, 9)
    return dice.flatmap(lambda rolled: st.sampled_from(fitting) if rolled < 9 else invented) if fitting else invented


@cache
def _numbers(least: float, most: float, kind: type) -> SearchStrategy[Any]:
    lowest = int(least) + (least > int(least))
    whole = st.integers(lowest, min(lowest + 4, int(most))) | st.integers(lowest, int(most))
    return whole if kind is int else whole | st.floats(least, most)


@cache
def _free(name: str) -> SearchStrategy[Document]:
    return FREE.get(name, lambda: _json_objects(st.sampled_from(WORDS)))()


def _subset(draw: DrawFn, fields: list[str]) -> set[str]:
    """Half of the fields, or a quarter where they are many; it shrinks to none."""
    bits = st.integers(0, 2 ** len(fields) - 1)
    chosen = draw(bits)
    if len(fields) > 4 and draw(st.booleans()):
        chosen &= draw(bits)
    return {field for place, field in enumerate(fields) if chosen >> place & 1}


def _object(draw: DrawFn, schema: Schema, name: str) -> Document:
    if "additionalProperties" in schema:
        keys = draw(st.lists(st.sampled_from(WORDS), max_size=2, unique=True))
        return {key: value_of(draw, schema["additionalProperties"], name) for key in keys}
    if "properties" not in schema:
        return draw(_free(name))
    fields = schema["properties"]
    rules = [rule["rule"] for rule in schema.get("x-kubernetes-validations", ())]
    choices = [_MEMBER.findall(rule) for rule in rules if _ONE_OF.fullmatch(rule)]
    required = schema.get("required", [])
    bound = {*required, *(field for group in choices for field in group)}
    chosen = {*required, *_subset(draw, [field for field in fields if field not in bound])}
    chosen |= {draw(st.sampled_from(group)) for group in choices}
    return {field: value_of(draw, below, field) for field, below in fields.items() if field in chosen}


def _list(draw: DrawFn, schema: Schema, name: str) -> list[Any]:
    least, most = schema.get("minItems", 0), schema["maxItems"]
    items = [value_of(draw, schema["items"], name) for _ in range(draw(st.integers(least, min(least + 2, most))))]
    keys = schema.get("x-kubernetes-list-map-keys")
    return list({tuple(item[key] for key in keys): item for item in items}.values()) if keys else items


def value_of(draw: DrawFn, schema: Schema, name: str) -> Any:
    """What the schema of a field takes; its name helps where the schema says little."""
    kind = schema.get("type", "string")
    if schema.get("x-kubernetes-int-or-string") and draw(st.booleans()):
        kind = "integer"
    match kind:
        case "object":
            return _object(draw, schema, name)
        case "array":
            return _list(draw, schema, name)
        case "boolean":
            return draw(st.booleans())
        case "string" if "enum" in schema:
            return draw(st.sampled_from(schema["enum"]))
        case "string" if name in NAMED and draw(st.integers(0, 9)):
            return draw(st.sampled_from(NAMED[name]))
        case "string":
            return draw(_texts(schema.get("pattern", ""), schema.get("minLength", 0), schema.get("maxLength", 256)))
    bounds = schema.get("minimum", -(2**40)), schema.get("maximum", 2**40)
    return draw(_numbers(*bounds, int if kind == "integer" else float))


@st.composite
def documents(draw: DrawFn, *, pod_templates: bool = True) -> Document:
    """Documents of the right shape, which may yet contradict themselves."""
    metadata = {"name": draw(st.sampled_from(["a", "reviews", "x" * 47]))}
    metadata |= draw(st.sampled_from([{}, {"namespace": "ml", "uid": "0-1", "generation": 7}]))
    spec = value_of(draw, SCHEMA, "spec")
    document = {
        "apiVersion": "serving.llmpipeline.dev/v1alpha1", "kind": "LLMPipeline", "metadata": metadata, "spec": spec,
    }  # fmt: skip
    if not pod_templates:
        for part in (spec.get("head", {}), spec.get("workerDefaults", {}), *spec.get("workers", ())):
            part.pop("podTemplate", None)
    return document


@st.composite
def sound_documents(draw: DrawFn, *, pod_templates: bool = False) -> Document:
    """Documents without any problem: each is mended as its remedy says, or what is to blame taken out."""
    document = draw(documents(pod_templates=pod_templates))
    for _ in range(40):
        problems = problems_of(document)
        if not problems:
            return document
        _mend(draw, document, problems[0])
    assume(False)
    raise AssertionError("not reached")


def _mend(draw: DrawFn, document: Document, problem: Problem) -> None:
    way = _way(document, problem.path)
    assume(len(way) > 1)
    holder, last = way[-1]
    here = holder[last]
    choices = _CHOICES.match(problem.remedy)
    is_there = len(way) == len(problem.path)
    if choices and isinstance(here, str) and is_there:
        holder[last] = draw(st.sampled_from(choices[1].split(", ")))
    elif isinstance(here, list) and here and is_there:
        here.pop()
    elif len(way) == len(problem.path) - 1 and (missing := _schema_at(problem.path)) and isinstance(here, dict):
        here[problem.path[-1]] = value_of(draw, missing, str(problem.path[-1]))
    elif problem.path[:2] == ("spec", "apps") and len(way) == 2:
        holder[last] = [{"name": "only", "hello": {}}]
    else:
        del holder[last]


def _schema_at(path: Path) -> Schema:
    """The schema of a field; nothing where there is no such field."""
    schema: Schema = {"properties": {"spec": SCHEMA}}
    for part in path:
        schema = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    return schema


def _way(document: Document, path: Path) -> list[tuple[Any, Any]]:
    """Each object or list on the path, with the key or index that the path takes in it, as far as it leads."""
    way: list[tuple[Any, Any]] = []
    here: Any = document
    for part in path:
        there = part in here if isinstance(here, dict) else isinstance(here, list) and 0 <= int(part) < len(here)
        if not there:
            break
        way.append((here, part))
        here = here[part]
    return way
