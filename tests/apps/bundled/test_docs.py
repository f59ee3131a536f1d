"""The requests on the pages of the apps are answered as the pages say: the same fields, of the same types.

Those of openai and trafficSplit are in the files of these.
"""

import json

import pytest

from support.local.asking import ask
from support.local.runner import Runner
from support.pages import examples, shape

EXAMPLES = [example for page in ("hello", "generate", "batch", "graph", "../concepts") for example in examples(page)]


def test_the_pages_have_examples() -> None:
    pages = {"/hello", "/generate", "/toxicity", "/vectors", "/analyze"}
    assert {path for _, path, _, _ in EXAMPLES} == pages | {"/greet", "/steps", "/mood"}


@pytest.mark.parametrize(("method", "path", "body", "answer"), EXAMPLES, ids=[path for _, path, _, _ in EXAMPLES])
def test_an_example(bundled: Runner, method: str, path: str, body: str, answer: str) -> None:
    found = ask(f"{bundled.url}{path}", json.loads(body) if body else None, method=method)
    assert found.status == 200, found.body
    assert shape(found.json) == shape(json.loads(answer))


def test_both_replicas_of_the_concepts_page_answer(bundled: Runner) -> None:
    found = {ask(f"{bundled.url}/greet", None, method="GET").json["replica"] for _ in range(40)}
    assert len(found) == 2


def test_the_steps_of_the_concepts_page_run_as_it_says(bundled: Runner) -> None:
    found = ask(f"{bundled.url}/steps", {"text": "The parcel came late  and was Broken"})
    text = "the parcel came late and was broken / The parcel came late and was Broken"
    assert found.json == {"text": text, "language": "en"}
