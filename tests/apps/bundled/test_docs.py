"""The requests on the pages of the apps are answered as the pages say: the same fields, of the same types.

Those of openai and trafficSplit are in the files of these.
"""

import json

import pytest

from support.local.asking import ask
from support.local.runner import Runner
from support.pages import examples, shape

EXAMPLES = [example for page in ("hello", "generate", "batch", "graph") for example in examples(page)]


def test_the_pages_have_examples() -> None:
    assert {path for _, path, _, _ in EXAMPLES} == {"/hello", "/generate", "/toxicity", "/vectors", "/analyze"}


@pytest.mark.parametrize(("method", "path", "body", "answer"), EXAMPLES, ids=[path for _, path, _, _ in EXAMPLES])
def test_an_example(bundled: Runner, method: str, path: str, body: str, answer: str) -> None:
    found = ask(f"{bundled.url}{path}", json.loads(body) if body else None, method=method)
    assert found.status == 200, found.body
    assert shape(found.json) == shape(json.loads(answer))
