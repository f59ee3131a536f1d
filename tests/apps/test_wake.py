"""Apps that scaled to zero, on real Ray Serve and vLLM: a request waits until a replica is up, and is answered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.control_plane import eventually
from support.local.asking import HUB, SMALL, Answer, ask
from support.local.runner import Runner, as_in_pods, rendered, running

# So often is each app woken, once it sleeps again.
ROUNDS = {"hello": 3, "generate": 1, "openai": 1}
# A replica that has had no request for so long stops; a loaded machine takes longer to start one.
SLEEPY = {
    "minReplicas": 0, "maxReplicas": 1, "upscaleDelaySeconds": 0, "downscaleToZeroDelaySeconds": 2,
    "metricsIntervalSeconds": 1, "lookBackPeriodSeconds": 2,
}  # fmt: skip
ASLEEP: dict[str, Any] = {"autoscaling": SLEEPY, "resources": SMALL}
SECONDS_TO_SLEEP = 120


@pytest.fixture(scope="module")
def sleepy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    model = {"name": "one", "source": HUB, **ASLEEP}
    apps = rendered(
        {"name": "hello", "hello": ASLEEP},
        {"name": "generate", "generate": {"model": HUB, **ASLEEP}},
        {"name": "openai", "openai": {"models": [model], "ingress": {"resources": SMALL}}},
    )
    with running(tmp_path_factory.mktemp("wake"), *apps, cpus=16, env=as_in_pods()) as runner:
        yield runner


def sleeps(runner: Runner, app: str) -> bool:
    """Whether a deployment of the app has no replica: the ingress of `openai` always has one."""
    deployments = runner.applications()[app]["deployments"].values()
    return any(not deployment["replicas"] for deployment in deployments)


def question(runner: Runner, app: str, *, stream: bool) -> Answer:
    if app == "hello":
        return ask(f"{runner.url}/hello", {})
    body = {"prompt": "The quick", "max_tokens": 4}
    if app == "openai":
        return ask(f"{runner.url}/openai/v1/completions", {**body, "model": "one", "stream": stream})
    return ask(f"{runner.url}/generate", {**body, "stream": stream})


@pytest.mark.parametrize(("app", "forms"), [("hello", [False]), ("generate", [False, True]), ("openai", [False, True])])
def test_a_sleeping_app_answers_the_requests_that_wake_it(sleepy: Runner, app: str, forms: list[bool]) -> None:
    """Those with and without a stream come at once, so that a model is loaded once for both."""
    for _ in range(ROUNDS[app]):
        eventually(lambda: sleeps(sleepy, app), SECONDS_TO_SLEEP, f"{app} to sleep", 0.5)
        with ThreadPoolExecutor(len(forms)) as pool:
            answers = list(pool.map(lambda stream: question(sleepy, app, stream=stream), forms))
        for stream, answer in zip(forms, answers, strict=True):
            assert answer.status == 200, answer.body
            assert not stream or (b"data:" in answer.body and b"[DONE]" in answer.body)
        assert not sleeps(sleepy, app)
