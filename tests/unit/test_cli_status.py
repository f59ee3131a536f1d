"""`llmpipeline status`: how long it waits, what it says meanwhile, and what it prints."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from llmpipeline.cli import status as module
from llmpipeline.cli.main import main
from llmpipeline.cli.pipeline_name import plain
from llmpipeline.cli.status_text import as_table, as_text
from llmpipeline.cluster.errors import Unreachable


def document(name: str = "chat", generation: int = 1, about: int = 1, **conditions: str) -> dict[str, Any]:
    """A pipeline; a condition is given as `Ready="False Initializing"`, and is about the generation `about`."""
    said = [
        {
            "type": kind, "status": text.split()[0], "reason": text.split()[1], "message": f"{kind} says so.",
            "observedGeneration": about, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, text in conditions.items()
    ]  # fmt: skip
    metadata = {
        "namespace": "ml", "name": name, "generation": generation, "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return {"metadata": metadata, "status": {"conditions": said, "readyApps": "1/1"} if said else {}}


READY = document(Ready="True AppsRunning", Stalled="False NotStalled")
STARTING = document(Ready="False Initializing", Stalled="False NotStalled")
REJECTED = document(Ready="False InvalidSpec", Stalled="True InvalidSpec", Available="True AppsRunning")
OLD = document(generation=2, Ready="True AppsRunning", Stalled="False NotStalled")
REJECTED_BEFORE = document(generation=2, Ready="False InvalidSpec", Stalled="True InvalidSpec")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.001)


async def waited(answers: list[Any], condition: str = "Ready", seconds: float = 60) -> tuple[Any, list[str]]:
    """What the wait ends with, and what was said; the last answer is given again and again."""
    left: Iterator[Any] = iter(answers)
    said: list[str] = []

    async def read() -> Any:
        answer = next(left, answers[-1])
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = await module.wait(read, condition, seconds, said.append)
    return found, [line.split("s  ", 1)[1] for line in said]


async def test_it_waits_until_the_newest_generation_is_ready_and_says_each_change_once() -> None:
    found, said = await waited([None, None, OLD, document(), STARTING, STARTING, READY])
    assert found is READY
    assert said == [
        "there is no such pipeline yet; waiting for it to appear",
        "the operator has not processed the newest generation yet",
        "Ready False  Initializing: Ready says so.",
        "Ready True  AppsRunning: Ready says so.",
    ]


async def test_a_rejected_change_ends_it_at_once_though_requests_are_answered() -> None:
    found, said = await waited([STARTING, REJECTED])
    assert found is REJECTED
    assert said[-1] == "Ready False  InvalidSpec: Ready says so."


async def test_what_was_rejected_before_the_newest_generation_does_not_end_it() -> None:
    found, _ = await waited([REJECTED_BEFORE, READY])
    assert found is READY


async def test_a_rejected_change_is_available() -> None:
    found, said = await waited([REJECTED], "Available")
    assert module.is_true(found, "Available")
    assert len(said) == 1


async def test_a_cluster_that_does_not_answer_for_a_moment_is_asked_again() -> None:
    found, said = await waited([Unreachable("no route"), STARTING, Unreachable("no route"), READY])
    assert found is READY
    assert said[0] == said[2] == "the cluster cannot be reached: no route; trying again"


async def test_the_time_is_over() -> None:
    found, _ = await waited([STARTING], seconds=0.05)
    assert found is STARTING
    with pytest.raises(Unreachable):
        await waited([Unreachable("no route")], seconds=0.05)


def test_a_table_of_all() -> None:
    table = as_table([READY, REJECTED, document("new")], datetime(2026, 1, 1, 2, tzinfo=UTC), namespaces=True)
    assert table.splitlines() == [
        "NAMESPACE   NAME   READY     AVAILABLE   REASON         APPS   GPUS   AGE   MESSAGE",
        "ml          chat   True      Unknown     AppsRunning    1/1           2h",
        "ml          chat   False     True        InvalidSpec    1/1           2h    Ready says so.",
        "ml          new    Unknown   Unknown     NotProcessed                 2h",
    ]


def test_text() -> None:
    assert "InvalidSpec: Stalled says so." in as_text(REJECTED)
    assert "(of an older generation)" in as_text(OLD)
    assert "no operator has processed it" in as_text(document())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--wait", "5"], "need the NAME"),
        (["--watch"], "need the NAME"),
        (["chat", "-A"], "leave out the NAME"),
        (["chat", "--watch", "--wait", "5"], "take one of them"),
        (["../x"], "cannot be the name"),
        (["llmp/"], "cannot be the name"),
        (["chat/status"], "cannot be the name"),
        ([""], "cannot be the name"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/does/not/exist")
    result = CliRunner().invoke(main, ["status", *arguments])
    assert (result.exit_code, says in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("name", ["chat", "llmp/chat", "llmpipeline/chat", "llmpipelines/chat", "LLMPipeline/chat"])
def test_the_name_as_kubectl_has_it(name: str) -> None:
    assert plain(name) == "chat"
