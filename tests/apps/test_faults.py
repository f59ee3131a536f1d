"""What breaks inside a replica, on real Ray Serve and vLLM: an engine that dies under load, a function that hangs."""

import concurrent.futures
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from support.local.asking import SMALL, Answer, ask
from support.local.runner import Runner, as_in_pods, rendered, running, sample_apps

CLIENTS = 8


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    (generate,) = sample_apps("generate")
    del generate["generate"]["autoscaling"]
    generate["generate"] |= {"replicas": 2, "maxQueuedRequests": 100}
    quick = {"timeoutSeconds": 1, "healthCheck": {"periodSeconds": 1, "timeoutSeconds": 5}}
    batch = {"custom": {"importPath": "own_code:hang"}, "resources": SMALL, **quick}
    apps = rendered(generate, {"name": "hang", "batch": batch})
    with running(tmp_path_factory.mktemp("faults"), *apps, cpus=16, env=as_in_pods()) as runner:
        yield runner


def replicas(runner: Runner, app: str, deployment: str) -> set[int]:
    """The processes of the replicas that run."""
    found = runner.applications()[app]["deployments"][deployment]["replicas"]
    return {replica["pid"] for replica in found if replica["state"] == "RUNNING"}


def engine_of(runner: Runner, replica: int) -> psutil.Process:
    (engine,) = [p for p in runner.left() if "EngineCore" in p.name() and replica in {it.pid for it in p.parents()}]
    return engine


def test_a_dead_engine_costs_a_moment_and_no_500(faulty: Runner) -> None:
    """The replica whose engine died would have the shortest queue, and would draw the requests of the other."""
    before = replicas(faulty, "generate", "Generate")
    assert len(before) == 2
    answers: list[tuple[float, Answer]] = []
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            body = {"prompt": "Which model answers?", "max_tokens": 8, "ignore_eos": True}
            try:
                answer = ask(f"{faulty.url}/generate", body)
            except OSError as error:  # the connection ended without an answer
                answer = Answer(0, {}, repr(error).encode())
            answers.append((time.monotonic(), answer))

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        running_clients = [clients.submit(client) for _ in range(CLIENTS)]
        time.sleep(3)
        killed = time.monotonic()
        victim = min(before)
        engine_of(faulty, victim).kill()
        time.sleep(20)
        over.set()
        for it in running_clients:
            it.result()
    failed = [(moment - killed, answer) for moment, answer in answers if answer.status != 200]
    seen = [(round(moment, 2), answer.status, answer.body[:80]) for moment, answer in failed]
    assert {answer.status for _, answer in failed} <= {503}, seen
    assert all(answer.headers["retry-after"] for _, answer in failed), seen
    assert max((moment for moment, _ in failed), default=0) < 15, seen
    assert len(failed) < len(answers) / 5, f"{len(failed)} of {len(answers)}"
    print(
        f"{len(failed)} of {len(answers)} requests got 503, the last {max(m for m, _ in failed):.2f} s after the kill"
    )
    assert not psutil.pid_exists(victim)
    # On a busy machine Serve's controller goes on listing it for a while.
    deadline = time.monotonic() + 120
    while victim in (after := replicas(faulty, "generate", "Generate")) or len(after) < 2:
        assert time.monotonic() < deadline, after
        time.sleep(0.5)


def test_a_replica_whose_function_hangs_is_replaced(faulty: Runner) -> None:
    def once(item: Any) -> int:
        return ask(f"{faulty.url}/hang", {"input": item}).status

    assert once("fine") == 200
    (before,) = replicas(faulty, "hang", "Batch")
    assert once("hang") == 504
    assert once("fine") in (503, 504)  # it waits for the thread that does not come back
    deadline = time.monotonic() + 60
    while once("fine") != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    (after,) = replicas(faulty, "hang", "Batch")
    assert after != before
