"""What an author may write that the CRD cannot bound: it ends in a problem that names the field, and quickly."""

from typing import Any

import pytest

from llmpipeline import desired
from llmpipeline.api.free_form import DEEPEST, MOST_CHARACTERS, MOST_VALUES, excess_of
from llmpipeline.checks.size import MOST_BYTES
from llmpipeline.desired import Desired, Rejected
from support.pipelines import Document, pipeline


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def graph(**fields: Any) -> Document:
    return {"name": "g", "graph": {"nodes": [{"name": "n", "preprocess": {}, **fields.pop("node", {})}], **fields}}


def problem_of(document: Document) -> str:
    rejected = desired.compile(document)
    assert isinstance(rejected, Rejected)
    (problem,) = rejected.problems
    return str(problem)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (nested(DEEPEST + 1), "levels deep"),
        ([0] * (MOST_VALUES + 1), "values"),
        ({str(number): {} for number in range(MOST_VALUES + 1)}, "values"),
        ("x" * (MOST_CHARACTERS + 1), "characters"),
        ({"x" * (MOST_CHARACTERS + 1): 1}, "characters"),
    ],
)
def test_free_form_values_have_bounds(value: Any, says: str) -> None:
    assert says in excess_of(value)


@pytest.mark.parametrize("value", [None, {}, nested(DEEPEST), [0] * (MOST_VALUES - 1), "x" * MOST_CHARACTERS])
def test_within_the_bounds(value: Any) -> None:
    assert excess_of(value) == ""


@pytest.mark.parametrize(
    ("app", "field"),
    [
        (graph(output={"o": ["n"] * 100_000}), "spec.apps[0].graph.output"),
        (graph(node={"fallback": nested(40)}), "spec.apps[0].graph.nodes[0].fallback"),
        ({"name": "c", "custom": {"importPath": "a:b", "args": {"a": [{}] * 100_000}}}, "spec.apps[0].custom.args"),
    ],
)
def test_the_problem_names_the_field(app: Document, field: str) -> None:
    problem = problem_of(pipeline(app))
    assert field in problem
    assert "make it smaller" in problem


def groups(count: int) -> list[Document]:
    return [{"name": f"g{number}", "minReplicas": 1, "maxReplicas": 1} for number in range(count)]


def test_a_rayservice_that_is_too_large_names_what_makes_it_so() -> None:
    """A small spec whose parts are copied into each of many Pods."""
    variables = [{"name": f"V{number}", "value": "x" * 4000} for number in range(100)]
    document = pipeline(ray={"env": variables}, workers=groups(16))
    problem = problem_of(document)
    assert "spec.ray.env" in problem
    assert f"at most {MOST_BYTES // 1024} can be stored; each of the 17 groups of Pods has a copy" in problem
    document = pipeline(workerDefaults={"podTemplate": {"metadata": {"annotations": {"a": "x" * 80_000}}}},
                        workers=groups(16))  # fmt: skip
    assert "spec.workerDefaults: " in problem_of(document)


def test_many_groups_alone_are_not_too_large() -> None:
    assert isinstance(desired.compile(pipeline(workers=groups(16))), Desired)
