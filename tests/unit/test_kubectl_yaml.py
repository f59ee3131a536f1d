"""Scalars, keys and merges as kubectl 1.34 reads them; `tests/control_plane/test_offline.py` asks the API server."""

import json
from typing import Any

import pytest
import yaml

from llmpipeline.cli.kubectl_yaml import UnreadableError, line_of, nodes_of, value_of


def read(text: str) -> Any:
    (node,) = nodes_of(text)
    assert node is not None
    return value_of(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e6", 1000000),
        ("1.5e3", 1500),
        ("1.0", 1),
        ("5.", 5),
        (".5", 0.5),
        ("-0.0", 0),
        ("+5", 5),
        ("0o17", 15),
        ("017", 15),
        ("08", 8),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("1_0.5", 10.5),
        ("1e-7", 1e-7),
        ("1e21", 1e21),
        ("18446744073709551615", 18446744073709552000),
        ("99999999999999999999", 100000000000000000000),
        ("0xFFFFFFFFFFFFFFFFF", "0xFFFFFFFFFFFFFFFFF"),
        ("1e400", "1e400"),
        ("0x1p-2", "0x1p-2"),
        ("12:30:45", "12:30:45"),
        ("2001-01-01", "2001-01-01"),
        ("y", True),
        ("Off", False),
        ("tRue", "tRue"),
        ("NULL", None),
        ("nUll", "nUll"),
        ("", None),
        ("'1e6'", "1e6"),
        ("!!str 5", "5"),
        ('!!int "7"', 7),
        ("!!float 5", 5),
        ("!thing 5", "5"),
        ("!!binary aGVsbG8=", "hello"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_a_scalar(text: str, value: Any) -> None:
    # By way of JSON: 1, 1.0 and true are equal in Python.
    assert json.dumps(read(f"- {text}")) == json.dumps([value])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (".nan", "a number that JSON has, not .nan"),
        ("-.INF", "a number that JSON has, not -.INF"),
        ("!!bool maybe", "is not of type bool: 'maybe'"),
        ('!!int ""', "is not of type int: ''"),
        ("!!null x", "is not of type null: 'x'"),
        ("!!binary a", "is not base64"),
        ("{~: 1}", "a key must be a string"),
        ("{[a]: 1}", "a key must be a string"),
        ("{1.23456789: 1}", "a key must be a string; put 1.23456789 in quotes"),
        ("{y: 1, true: 2}", "appears twice"),
        ("{a: 1, a: 1}", "appears twice"),
    ],
)
def test_what_is_no_json(text: str, says: str) -> None:
    with pytest.raises(UnreadableError) as unreadable:
        read(f"[{text}]")
    assert says in str(unreadable.value)


def test_keys_become_strings() -> None:
    text = "{1: a, 0o17: b, on: c, 1.5: d, 2.0: e, 1e6: f, 2001-01-01: g}"
    assert list(read(text)) == ["1", "15", "true", "1.5", "2", "1e+06", "2001-01-01"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{<<: {a: 1}, a: 2}", {"a": 2}),
        ("{a: 2, <<: {a: 1}}", {"a": 1}),
        ("{<<: [{a: 1}, {a: 2, b: 3}]}", {"a": 1, "b": 3}),
        ('{"<<": {a: 1}}', {"<<": {"a": 1}}),
    ],
)
def test_merges(text: str, value: Any) -> None:
    assert read(text) == value


def test_json_may_write_a_character_as_two_escapes() -> None:
    written = json.dumps({"smile": "\U0001f642"})
    assert "ud83d" in written
    assert read(written) == {"smile": "\U0001f642"}
    with pytest.raises(yaml.YAMLError):
        read(f"[{written}]")


def test_a_line_is_found_by_the_key_as_it_is_read() -> None:
    (node,) = nodes_of("a:\n  y: 1\n  0o17:\n  - 1\n")
    assert node is not None
    assert line_of(node, ("a", "true")) == 2
    assert line_of(node, ("a", "15", 0)) == 4
