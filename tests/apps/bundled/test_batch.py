"""The batch app on real Transformers: batches that form, items that fail alone, settings that change while it runs."""

import concurrent.futures
import math
from typing import Any

from support.local.asking import Answer, ask
from support.local.runner import Runner, rendered


def test_classify(bundled: Runner) -> None:
    answer = ask(f"{bundled.url}/toxicity", {"text": "What a day"})
    assert answer.status == 200
    assert answer.json["label"] in ("NEGATIVE", "POSITIVE")
    assert 0.5 <= answer.json["score"] <= 1


def test_embed(bundled: Runner) -> None:
    vector = ask(f"{bundled.url}/vectors", {"text": "What a day"}).json["embedding"]
    assert len(vector) == 64
    assert math.isclose(sum(x * x for x in vector), 1, rel_tol=1e-3)


def test_what_is_in_a_batch_changes_no_answer(bundled: Runner) -> None:
    texts = [f"{word} " * length for length, word in enumerate(("a", "quick", "brown", "fox", "jumps") * 3, start=1)]
    alone = [ask(f"{bundled.url}/vectors", {"text": text}).json["embedding"] for text in texts]
    with concurrent.futures.ThreadPoolExecutor(len(texts)) as clients:
        together = list(
            clients.map(lambda text: ask(f"{bundled.url}/vectors", {"text": text}).json["embedding"], texts)
        )
    for one, other in zip(alone, together, strict=True):
        assert all(math.isclose(x, y, abs_tol=1e-4) for x, y in zip(one, other, strict=True))


def test_a_text_longer_than_the_model_takes_is_cut(bundled: Runner) -> None:
    assert ask(f"{bundled.url}/toxicity", {"text": "word " * 5000}).status == 200


def double(runner: Runner, *items: Any) -> list[Answer]:
    with concurrent.futures.ThreadPoolExecutor(len(items)) as clients:
        return list(clients.map(lambda item: ask(f"{runner.url}/double", {"input": item}), items))


def test_own_code_works_in_batches(bundled: Runner) -> None:
    answers = double(bundled, *range(40))
    assert [answer.json for answer in answers] == [{"output": 2 * item} for item in range(40)]
    (sizes,) = double(bundled, "sizes")
    assert 1 < sizes.json["output"] <= 8


def test_a_bad_item_fails_alone(bundled: Runner) -> None:
    for bad in (-1, "boom"):
        answers = double(bundled, 1, 2, bad, 3, 4)
        assert [answer.status for answer in answers] == [200, 200, 500, 200, 200]
        assert answers[2].error["type"] == "internal"
        assert "boom" not in answers[2].error["message"]


def test_the_limit_of_the_body_is_the_resources(bundled: Runner) -> None:
    assert ask(f"{bundled.url}/double", {"input": [0] * 1000}).status == 413


def test_settings_change_while_it_runs(bundled: Runner) -> None:
    """An edit of maxBatchSize reaches the replica that runs, which goes on with its work."""
    before = bundled.applications()["double"]["deployments"]["Batch"]["replicas"][0]["replica_id"]
    apps = {name: app["deployed_app_config"] for name, app in bundled.applications().items()}
    (deployment,) = apps["double"]["deployments"]
    settings = {**deployment["user_config"], "max_batch_size": 32}
    apps["double"]["deployments"] = [{**deployment, "user_config": settings}]
    bundled.put(*apps.values())
    for _ in range(60):
        double(bundled, *range(60))
        (sizes,) = double(bundled, "sizes")
        if sizes.json["output"] > 8:
            break
    assert 8 < sizes.json["output"] <= 32
    after = bundled.applications()["double"]["deployments"]["Batch"]["replicas"][0]["replica_id"]
    assert after == before


def test_the_settings_are_the_user_config() -> None:
    (app,) = rendered({"name": "x", "batch": {"custom": {"importPath": "a:b"}, "batchWaitMilliseconds": 5}})
    assert app["deployments"][0]["user_config"] == {"max_batch_size": 8, "batch_wait_milliseconds": 5}
    assert app["deployments"][0]["max_ongoing_requests"] == 16
