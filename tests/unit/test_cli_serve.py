"""`llmpipeline serve` before Ray starts: which apps, which variables, what is left out, and how it waits."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from llmpipeline.cli import serve as command
from llmpipeline.cli.local_job import LocalJob, local_job
from llmpipeline.cli.main import main
from llmpipeline_serve.local.deploy import wait_until_running
from llmpipeline_serve.local.errors import RunnerError
from llmpipeline_serve.local.job import Job
from llmpipeline_serve.local.progress import Progress
from support.pipelines import desired_of, sample


def made(document: dict[str, Any] | None = None, shell: dict[str, str] | None = None, **options: Any) -> LocalJob:
    result = local_job(desired_of(document or sample("ab-test")), shell or {}, **options)
    Job.model_validate(result.job)  # what the other package takes
    return result


def with_environment(*variables: dict[str, Any], **ray: Any) -> dict[str, Any]:
    document = sample("quickstart")
    document["spec"]["ray"] |= {"env": list(variables), **ray}
    return document


def apps_of(job: LocalJob) -> list[str]:
    return [app["name"] for app in job.job["serve_config"]["applications"]]


@pytest.mark.parametrize(
    ("apps", "served"),
    [((), ["stable", "candidate", "front"]), (("stable",), ["stable"]), (("front",), ["stable", "candidate", "front"])],
)
def test_the_apps_that_are_named_and_those_that_they_need(apps: tuple[str, ...], served: list[str]) -> None:
    job = made(apps=apps)
    assert apps_of(job) == served
    assert ("stable, candidate: served too" in " ".join(job.notes)) == (apps == ("front",))


def test_an_app_of_a_shadow_is_needed_too() -> None:
    document = sample("ab-test")
    document["spec"]["apps"][2]["trafficSplit"] |= {
        "variants": [{"name": "stable", "app": "stable", "weight": 1}],
        "shadow": [{"app": "candidate", "percent": 1}],
    }
    assert apps_of(made(document, apps=["front"])) == ["stable", "candidate", "front"]


def test_an_app_alone_needs_fewer_cpus() -> None:
    document = sample("ab-test")
    document["spec"]["apps"][0]["openai"]["models"][0]["replicas"] = 50
    assert made(document, apps=["candidate"]).job["cpus"] < made(document).job["cpus"]


def test_variables_reach_ray_and_what_cannot_is_named() -> None:
    secret = {"valueFrom": {"secretKeyRef": {"name": "store", "key": "id"}}}
    document = with_environment(
        {"name": "FOO", "value": "bar"},
        {"name": "EMPTY", "value": ""},
        {"name": "HF_HOME", "value": "/models"},
        {"name": "LD_PRELOAD", "value": "/x.so"},
        {"name": "AWS_ACCESS_KEY_ID", **secret},
        {"name": "AWS_SECRET_ACCESS_KEY", **secret},
        {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "shared", "key": "a"}}},
    )
    job = made(document, {"AWS_ACCESS_KEY_ID": "mine"})
    assert job.job["variables"] == {"FOO": "bar", "EMPTY": ""}
    notes = "\n".join(job.notes)
    assert "HF_HOME left out" in notes
    assert "LD_PRELOAD left out" in notes
    assert "AWS_SECRET_ACCESS_KEY is not set: a cluster takes it from key id of Secret store; export" in notes
    assert "FROM_MAP is not set: a cluster takes it from key a of ConfigMap shared; export FROM_MAP=" in notes
    assert "AWS_ACCESS_KEY_ID is" not in notes


def test_the_token_of_a_gated_model_comes_from_the_shell() -> None:
    document = sample("llama-8b")
    assert "HF_TOKEN is not set: a cluster takes it from Secret hugging-face" in " ".join(made(document).notes)
    assert "HF_TOKEN" not in " ".join(made(document, {"HF_TOKEN": "hf_x"}).notes)
    assert "HF_TOKEN" not in " ".join(made(document, tiny_models=True).notes)


def test_what_only_a_cluster_has_is_named() -> None:
    document = with_environment(modelCache={"path": "/models"})
    document["spec"] |= {"head": {"cpusForReplicas": 1}, "network": {"policy": {}}}
    notes = "\n".join(made(document).notes)
    assert "head, network left out" in notes
    assert "spec.ray.modelCache: left out" in notes
    assert made(sample("quickstart")).notes == []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Result, dict[str, Any]]]:
    jobs: list[dict[str, Any]] = []
    monkeypatch.setattr(command, "_become_runner", jobs.append)
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump(sample("ab-test")))

    def begin(*arguments: str) -> tuple[Result, dict[str, Any]]:
        jobs.clear()
        result = CliRunner().invoke(main, ["serve", str(file), *arguments])
        return result, jobs[0] if jobs else {}

    return begin


def test_options_reach_the_runner(run: Callable[..., tuple[Result, dict[str, Any]]]) -> None:
    result, job = run("--app", "candidate", "--port", "9000", "--timeout", "5m", "--check", "--tiny-models")
    assert result.exit_code == 0, result.output
    assert (job["port"], job["timeout"], job["check"], job["tiny_models"]) == (9000, 300, True, True)
    assert [app["name"] for app in job["serve_config"]["applications"]] == ["candidate"]
    assert run()[1]["timeout"] == 1800
    assert run("--timeout", "0")[1]["timeout"] == 0


def test_an_app_that_is_not_there(run: Callable[..., tuple[Result, dict[str, Any]]]) -> None:
    result, job = run("--app", "candiate")
    said = "there is no app candiate; there are stable, candidate, front"
    assert (result.exit_code, job, said in result.stderr) == (1, {}, True)


@pytest.mark.parametrize("time", ["-1", "5x", "", "1.5m", "99999999999h", "٣"])
def test_times_that_are_none(time: str, run: Callable[..., tuple[Result, dict[str, Any]]]) -> None:
    assert run("--timeout", time)[0].exit_code == 2


def test_without_ray_the_package_is_named(
    run: Callable[..., tuple[Result, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmpipeline.cli.connection.importlib.util.find_spec", lambda _: None)
    result, job = run()
    # The name llmpipeline alone is somebody else's on the package index.
    assert (result.exit_code, job, '"llmpipeline-kuberay[local]"' in result.stderr) == (3, {}, True)


# The runner


def late(app: str = "chat", message: str = "more than 30s") -> dict[str, Any]:
    deployment = {
        "name": "LLM",
        "status": "UPDATING",
        "target_num_replicas": 1,
        "replicas": [{"state": "STARTING"}],
        "message": message,
    }
    return {app: {"name": app, "status": "DEPLOYING", "message": "", "deployments": {"LLM": deployment}}}


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("llmpipeline_serve.local.progress.time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr("llmpipeline_serve.local.deploy.time", SimpleNamespace(sleep=self.sleep))

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_line_is_printed_once(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    for _ in range(1200):  # ten minutes
        progress.show(late())
        clock.sleep(0.5)
    lines = [line[8:] for line in capsys.readouterr().err.splitlines()]
    assert lines.count("waiting for chat: LLM (STARTING): more than 30s") == 1
    assert lines.count("chat  DEPLOYING  LLM 0/1 replicas") == 1
    assert 1 <= lines.count("still waiting for chat: LLM") <= 6


def test_another_reason_is_printed(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    for message in ("one", "two"):
        clock.sleep(20)
        progress.show(late(message=message))
        clock.sleep(20)
        progress.show(late(message=message))
    lines = capsys.readouterr().err
    assert "(STARTING): one" in lines
    assert "(STARTING): two" in lines


def test_the_time_is_over(clock: Clock) -> None:
    deployer: Any = SimpleNamespace(details=late)
    with pytest.raises(RunnerError, match=r"not every app runs after 60 s; raise --timeout\nwaiting for chat: LLM"):
        wait_until_running(deployer, ["chat"], "http://127.0.0.1:1", Progress(), 60)
    assert clock.now == 60


def test_a_job_says_how_long() -> None:
    config = {"applications": [{"name": "a", "import_path": "a:b"}]}
    job = {"name": "x", "serve_config": config, "cpus": 8, "port": 8000}
    assert Job.model_validate_json(json.dumps(job)).timeout == 0


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:9000"), ("0.0.0.0", "http://127.0.0.1:9000")]
)
def test_the_address_that_it_listens_on(host: str, url: str) -> None:
    job = Job.model_validate(made(host=host, port=9000).job)
    assert (str(job.host), job.url) == (host, url)


@pytest.mark.parametrize("host", ["localhost", "::1", "1.2.3", ""])
def test_an_address_that_is_none(host: str) -> None:
    result = CliRunner().invoke(main, ["serve", "x.yaml", "--host", host])
    assert (result.exit_code, "is not an IPv4 address, like 127.0.0.1 or 0.0.0.0" in result.stderr) == (2, True)
