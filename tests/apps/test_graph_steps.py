"""Python steps of a graph on real Ray: arguments, threads, and functions that do not fit."""

import concurrent.futures
import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.local.asking import SMALL, ask, node
from support.local.runner import Runner, rendered, running


def _greeter(**args: Any) -> dict[str, Any]:
    greeter = node("greet", function="greet", input="request.name")
    greeter["custom"]["args"] = args
    return {"name": "greeter", "graph": {"nodes": [greeter], "output": {"said": "greet.output"}, "ingress": SMALLER}}


SMALLER = {"resources": SMALL}
APPS = [
    _greeter(greeting="Hello"),
    {
        "name": "naps",
        "graph": {"nodes": [node("nap", function="nap", maxOngoingRequests=4)], "ingress": SMALLER},
    },
    {"name": "wrong", "graph": {"nodes": [node("it", function="no_json")], "ingress": SMALLER}},
]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("steps"), *rendered(*APPS)) as it:
        yield it


def test_a_function_blocks_a_thread_and_no_other_request(runner: Runner) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(ask, f"{runner.url}/naps", {"seconds": 2}) for _ in range(4)]
        answers = [it.result().json["nap"] for it in asked]
    assert max(it["began"] for it in answers) < min(it["ended"] for it in answers)


def test_a_result_that_is_no_json_is_the_nodes_failure(runner: Runner) -> None:
    answer = ask(f"{runner.url}/wrong", {})
    assert (answer.status, answer.error["field"]) == (502, "nodes.it")


def test_other_arguments_reach_the_running_replicas(runner: Runner) -> None:
    assert ask(f"{runner.url}/greeter", {"name": "Ada"}).json == {"said": "Hello Ada."}
    before = _replicas(runner)
    _put(runner, _greeter(greeting="Bye", mark="!"))
    deadline = time.monotonic() + 60
    while ask(f"{runner.url}/greeter", {"name": "Ada"}).json != {"said": "Bye Ada!"}:
        assert time.monotonic() < deadline
    assert _replicas(runner) == before


def test_an_argument_that_the_function_does_not_have_is_named(runner: Runner) -> None:
    _put(runner, {**_greeter(greting="Hello"), "name": "slip", "routePrefix": "/slip"})
    said = "own_code:greet has no argument greting, which custom.args gives; it takes greeting, mark"
    deadline = time.monotonic() + 60
    while said not in str(runner.applications().get("slip")):
        assert time.monotonic() < deadline, runner.applications().get("slip")
        time.sleep(0.2)
    assert ask(f"{runner.url}/naps", {}).status == 200


CODE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: my-steps}
data:
  hidden_steps.py: |
    import hidden_words

    def shout(given, *, mark):
        return hidden_words.HELLO + mark
  hidden_words.py: |
    HELLO = "Hello"
---
apiVersion: serving.llmpipeline.dev/v1alpha1
kind: LLMPipeline
metadata: {name: code}
spec:
  ray: {version: "2.60.0", image: "registry.example/ray:2.60.0"}
  apps:
  - name: shouter
    graph:
      nodes:
      - name: shout
        custom: {importPath: "hidden_steps:shout", args: {mark: "!"}, code: {configMap: my-steps}}
"""


def test_code_in_a_config_map_of_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "code.yaml"
    file.write_text(CODE)
    with running(tmp_path, file=file) as runner:
        assert ask(f"{runner.url}/shouter", {}).json == {"shout": {"output": "Hello!"}}


def test_a_change_that_does_not_fit_is_named_and_can_be_undone(runner: Runner) -> None:
    _put(runner, _greeter(greeting="Hi", marks="?"))
    deadline = time.monotonic() + 120
    while "own_code:greet has no argument marks" not in str(runner.applications()["greeter"]):
        assert time.monotonic() < deadline, runner.applications()["greeter"]
        time.sleep(0.2)
    _put(runner, _greeter(greeting="Hi", mark="?"))
    while (answer := ask(f"{runner.url}/greeter", {"name": "Ada"})).status != 200 or b"Hi Ada?" not in answer.body:
        assert time.monotonic() < deadline, answer.body
        time.sleep(0.2)


def _put(runner: Runner, app: dict[str, Any]) -> None:
    (wanted,) = rendered(copy.deepcopy(app))
    apps = {name: it["deployed_app_config"] for name, it in runner.applications().items()}
    runner.put(*{**apps, app["name"]: wanted}.values())


def _replicas(runner: Runner) -> set[str]:
    deployments = runner.applications()["greeter"]["deployments"].values()
    return {replica["replica_id"] for it in deployments for replica in it["replicas"]}
