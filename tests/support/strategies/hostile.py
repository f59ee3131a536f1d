"""Documents that nobody means well with: sound ones with damage done to them, and objects that are no resource."""

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from support.strategies.overlays import trees
from support.strategies.specs import WORDS, Document, documents

# As deep as Hypothesis can print.
_DEEP = 100
_NUMBERS = (-1, 2**31, 2**63, 10**30, 10**400, -(10**30), 0.1, 1e308, float("nan"), float("inf"), float("-inf"), -0.0)
_TEXTS = (
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202e", "\u0661", "a\n", "\ufeff", "x" * 20_000, "{{",
    "$(A)",
    "---\n- a", "1e9", "0x10", "NaN", "null", "true", "-1", "1Ei", "9" * 30 + "Pi", "0" * 31 + "1", "\U0001f600" * 70,
    "{{ " + "(" * 4000, "1" + "+1" * 7000, "a" + ".b" * 7000, "'a' * 99999999999", "request is nothing",
    "{% for loop in a %}{% endfor %}", "{{ 'a'" + "|replace('a', 'aaaaaaaaaa')" * 12 + " }}", "a[" * 3000,
    "not " * 3000 + "a", "{% if a %}" * 1000, "[" * 900 + "]" * 900, "'%999999999d' % 1", "1 if 1 else " * 1000 + "1",
)  # fmt: skip
_KEYS = (*WORDS, "spec", "name", "int", "str", "status", "$patch", "", "\x00", "\ud800", "x" * 5000, "constructor", "0")


def nested(kind: str, depth: int = _DEEP) -> Any:
    """A list in a list, or an object in an object, and so on."""
    value: Any = "x"
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


def junk() -> SearchStrategy[Any]:
    """Any value, and such as programs stumble over."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters(), max_size=20),  # with surrogates
        st.sampled_from(_NUMBERS),
        st.sampled_from(_TEXTS),
        st.sampled_from([[], {}, [[]], [{}], {"": None}]).map(copy.deepcopy),
    )
    keys = st.sampled_from(_KEYS)
    small = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))
    return st.one_of(small, small, trees(), st.sampled_from(["list", "object"]).map(nested))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every object or list in a document with each key or index of it."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < 2000:
        holder = waiting.pop()
        items = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        found += [(holder, key) for key, _ in items]
        waiting += [item for _, item in items if isinstance(item, dict | list)]
    return found


def _replace(draw: DrawFn, holder: Any, key: Any) -> None:
    holder[key] = draw(junk())


def _replace_in_kind(draw: DrawFn, holder: Any, key: Any) -> None:
    """A text by a text, a number by a number: what keeps the shape gets further."""
    if isinstance(holder[key], str):
        holder[key] = draw(st.sampled_from(_TEXTS))
    elif isinstance(holder[key], int | float):
        holder[key] = draw(st.sampled_from(_NUMBERS))
    else:
        holder[key] = copy.deepcopy(draw(st.sampled_from([None, [], {}])))


def _delete(draw: DrawFn, holder: Any, key: Any) -> None:
    del holder[key]


def _swap_shape(draw: DrawFn, holder: Any, key: Any) -> None:
    value = holder[key]
    if isinstance(value, list):
        holder[key] = {str(index): item for index, item in enumerate(value)}
    else:
        holder[key] = list(value.values()) if isinstance(value, dict) else [value]


def _wrap(draw: DrawFn, holder: Any, key: Any) -> None:
    holder[key] = {draw(st.sampled_from(_KEYS)): holder[key]}


def _add(draw: DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.append(draw(junk()))
    else:
        holder[draw(st.sampled_from(_KEYS))] = draw(junk())


def _repeat(draw: DrawFn, holder: Any, key: Any) -> None:
    """The same items again, more of them than any list takes."""
    if isinstance(holder, list):
        holder.extend([holder[key]] * draw(st.sampled_from([1, 40, 300])))


def _move(draw: DrawFn, holder: Any, key: Any) -> None:
    """The value of another place."""
    other, place = draw(st.sampled_from(_places(holder)))
    holder[key] = copy.deepcopy(other[place])


_DAMAGES: tuple[Callable[[DrawFn, Any, Any], None], ...] = (
    _replace, _replace_in_kind, _replace_in_kind, _delete, _swap_shape, _wrap, _add, _repeat, _move,
)  # fmt: skip


@st.composite
def damaged_documents(draw: DrawFn) -> Document:
    """Documents of the right shape, of which a few places are damaged."""
    document = draw(documents())
    for _ in range(draw(st.integers(1, 4))):
        places = _places(document)
        if not places:
            break
        draw(st.sampled_from(_DAMAGES))(draw, *draw(st.sampled_from(places)))
    return document


def hostile_documents() -> SearchStrategy[Document]:
    """Damaged ones, mostly, and objects that are no resource."""
    wild = st.dictionaries(st.sampled_from(_KEYS), junk(), max_size=5)
    return st.one_of(damaged_documents(), damaged_documents(), damaged_documents(), wild)
