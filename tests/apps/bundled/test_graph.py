"""The graph app on real Ray, Transformers and vLLM."""

import concurrent.futures
import time
from typing import Any

import pytest

from llmpipeline_serve.local.ask import ask as questions
from llmpipeline_serve.local.job import Application
from support.local.asking import Answer, ask
from support.local.runner import Runner

LONG = "The replicas wait for the model, and the model waits for the replicas. " * 4


def test_analyze(bundled: Runner) -> None:
    answer = ask(f"{bundled.url}/analyze", {"text": LONG})
    assert answer.status == 200, answer.body
    assert answer.json.keys() == {"original_length", "sentiment", "summary"}
    assert answer.json["original_length"] == len(LONG)
    assert answer.json["sentiment"].keys() == {"label", "score"}
    assert answer.json["summary"] != LONG.strip()


def test_a_short_text_is_its_own_summary(bundled: Runner) -> None:
    assert ask(f"{bundled.url}/analyze", {"text": " Too \t short\n"}).json["summary"] == "Too short"


def test_a_long_text_is_cut_to_the_tokens_asked_for(bundled: Runner) -> None:
    found = ask(f"{bundled.url}/deep", {"text": LONG * 50}).json
    assert (found["tokens"], found["language"]) == (100, "en")
    assert (found["vector"], found["reply"]) == (None, None)


def test_nodes_run_when_the_request_says_so(bundled: Runner) -> None:
    found = ask(f"{bundled.url}/deep", {"text": "Fine.", "vector": True, "reply": True}).json
    assert len(found["vector"]) == 64
    assert found["reply"]["usage"]["completion_tokens"] <= 8
    assert found["reply"].keys() == {"text", "finish_reason", "usage"}


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "text"), ({"text": ""}, "text"), ({"text": 3}, "text"), ({"text": "a\0b"}, "text"), ({"text": " "}, "text")],
)
def test_bad_input_names_the_field(bundled: Runner, body: dict[str, Any], field: str) -> None:
    answer = ask(f"{bundled.url}/analyze", body)
    assert (answer.status, answer.error["type"], answer.error["field"]) == (400, "invalid_request", field)


def test_half_a_surrogate_pair(bundled: Runner) -> None:
    answer = ask(f"{bundled.url}/deep", raw=b'{"text": "fine", "more": ["\\ud800"]}')
    assert (answer.status, answer.error["field"]) == (400, "more.0")


def test_a_prompt_that_does_not_fit_says_by_how_much(bundled: Runner) -> None:
    answer = ask(f"{bundled.url}/deep", {"text": "é" * 300, "reply": True})
    assert answer.status == 400, answer.body
    assert "too many: the model takes 200" in answer.error["message"]


def failing(runner: Runner, **body: Any) -> Any:
    return ask(f"{runner.url}/failing", body)


def test_independent_nodes_run_at_once(bundled: Runner) -> None:
    nodes = failing(bundled, seconds=0.5).json["last"]
    slow, other = nodes["slow"], nodes["other"]
    assert max(slow["began"], other["began"]) < min(slow["ended"], other["ended"])


def test_a_node_that_fails_is_named_and_its_words_are_not(bundled: Runner) -> None:
    answer = failing(bundled, fail=True)
    assert (answer.status, answer.error["type"], answer.error["field"]) == (502, "upstream_failed", "nodes.fails")
    assert b"secret" not in answer.body
    assert failing(bundled).status == 200


def test_a_declared_fallback(bundled: Runner) -> None:
    assert failing(bundled).json["last"]["falls"] == {"fine": True}


def test_a_node_that_takes_too_long(bundled: Runner) -> None:
    began = time.monotonic()
    answer = failing(bundled, seconds=30)
    assert (answer.status, answer.error["type"], answer.error["field"]) == (504, "timeout", "nodes.slow")
    assert time.monotonic() - began < 3
    assert failing(bundled).status == 200


def test_a_service(bundled: Runner) -> None:
    answer = ask(f"{bundled.url}/services", {"text": "hi"})
    assert answer.json == {"good": {"status": 200, "body": {"got": {"request": {"text": "hi"}}}}, "bad": None}


def test_a_service_that_fails(bundled: Runner) -> None:
    answer = ask(f"{bundled.url}/services", {"text": "hi", "bad": True})
    assert (answer.status, answer.error["field"]) == (502, "nodes.bad")
    assert "503" in answer.error["message"]


def test_a_node_whose_queue_is_full(bundled: Runner) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(ask, f"{bundled.url}/narrow", {"seconds": 2}) for _ in range(8)]
        answers = [it.result() for it in asked]
    assert {answer.status for answer in answers} == {200, 503}
    (refused, *_) = [answer for answer in answers if answer.status == 503]
    assert (refused.error["type"], refused.error["field"]) == ("overloaded", "nodes.nap")
    assert refused.headers["retry-after"] == "1"


def test_a_change_lets_requests_in_work_end(bundled: Runner) -> None:
    """The replicas that it replaces are drained, and none of the requests that come meanwhile is lost."""
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        slow = clients.submit(ask, f"{bundled.url}/sleepy", {"seconds": 4})
        time.sleep(0.5)
        apps = {name: app["deployed_app_config"] for name, app in bundled.applications().items()}
        apps["sleepy"]["args"]["nodes"].append({"name": "more", "custom": {"import_path": "own_code:echo"}})
        bundled.put(*apps.values())
        answers: list[Answer] = []
        while not answers or answers[-1].json.keys() != {"nap", "more"}:
            answers.append(ask(f"{bundled.url}/sleepy", {}))
            assert answers[-1].status == 200, answers[-1].body
            assert len(answers) < 5000
        assert slow.result().status == 200
        assert slow.result().json.keys() == {"nap"}


def test_what_check_asks_and_how_it_tells(bundled: Runner) -> None:
    """The questions of `llmpipeline serve --check`, to the apps of every sample that is served here."""
    for name, app in bundled.applications().items():
        asked = Application.model_validate(app["deployed_app_config"])
        if name in ("hello", "generate", "toxicity", "vectors", "analyze"):
            (line,) = list(questions(asked, bundled.url))
            assert ": 200 {" in line
            assert line.startswith(f"{name}: ")


def test_hello(bundled: Runner) -> None:
    assert ask(f"{bundled.url}/hello", method="GET").json["application"] == "hello"
