"""Every dashboard and alert on a live pipeline: a real Ray with every kind of app, a real operator, a real Prometheus.

What cannot be had on this machine is a GPU, and the metrics of one are named below as missing.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from llmpipeline.monitoring import objectives, usage
from llmpipeline.monitoring.queries import Scope, metric_names
from support.child_process import free_port
from support.control_plane import Admin, ControlPlane, OperatorProcess
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL
from support.local.runner import Runner, rendered
from support.monitoring import boards, live, prometheus
from support.monitoring.prometheus import Prometheus
from support.pipelines import pipeline as document_of

# Ray exports these if a Pod has a GPU, and has none here. (ray_resources has the name GPU then.)
NEEDS_A_GPU = {"ray_node_gpus_utilization"}
# Series of a pipeline's own PrometheusRule, which a Prometheus with its rules has.
RECORDED = {
    objectives.LATENCY_OBJECTIVE,
    objectives.FIRST_TOKEN_OBJECTIVE,
    "llmpipeline_objective_error_ratio",
}
CHOSEN = {"namespace": live.NAMESPACE, "pipeline": live.PIPELINE, "baseline": "old"}
# A replica counts as new if its Ray cluster is older than ten minutes.
YOUNG_PANELS = {"pipeline / Starts of replicas"}
GPU_PANELS = {
    "pipeline / GPUs",
    "pipeline / Use of GPUs",
    "usage / GPU hours by pipeline",
    "fleet / GPUs asked and held",
    "fleet / GPUs held by namespace",
    "fleet / GPUs requested by pipeline",
}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with live.running(tmp_path_factory.mktemp("live")) as runner:
        yield runner


@pytest.fixture(scope="module")
def operator_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane, admin: Admin, operator_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator, with pipelines in several states."""
    admin.bind("operator", "cluster-admin")
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    process = OperatorProcess(
        control_plane.kubeconfig_of("operator"), log, arguments=["--health-port", str(operator_port)]
    )
    process.start()
    yield process
    process.stop()
    admin.unbind("operator", "cluster-admin")


@pytest.fixture(scope="module")
def load(runner: Runner) -> Iterator[None]:
    with live.Load(runner):
        yield


@pytest.fixture(scope="module")
def found(
    runner: Runner,
    operator: OperatorProcess,
    operator_port: int,
    admin: Admin,
    tmp_path_factory: pytest.TempPathFactory,
    load: None,
) -> Iterator[Prometheus]:
    """A Prometheus that has scraped all of it for a while."""
    rules = tmp_path_factory.mktemp("rules") / "objectives.yaml"
    rules.write_text(own_rules())
    jobs = [prometheus.ray_job(live.discovery(runner), live.LABELS), prometheus.operator_job(operator_port)]
    with prometheus.running(tmp_path_factory.mktemp("prometheus"), jobs, [boards.RULES, rules]) as running:
        _make_pipelines(admin)
        # Ray passes a process' metrics on every ten seconds.
        time.sleep(75)
        yield running


def own_rules() -> str:
    """The rules of the live pipeline, as if it had objectives."""
    import yaml

    from llmpipeline.monitoring.objectives import groups
    from support.pipelines import parsed

    goals = {"latencyP99Milliseconds": 1, "errorRatePercent": 0.5}
    apps = [{**app, "objectives": goals} for app in live.apps()]
    document = document_of(*apps, name=live.PIPELINE, namespace=live.NAMESPACE)
    return str(yaml.safe_dump({"groups": groups(parsed(document))}))


def _make_pipelines(admin: Admin) -> None:
    """One that is ready, one that fails, and one that is rejected."""
    admin.create_namespace(live.NAMESPACE)
    for name in (live.PIPELINE, "broken"):
        admin.create(API, PLURAL, document_of(name=name, namespace=live.NAMESPACE))
        until(lambda name=name: admin.find(kuberay.API_VERSION, kuberay.PLURAL, live.NAMESPACE, name))
        kuberay.make_ready(admin, live.NAMESPACE, name)
    wrong = {"name": "hello", "hello": {"resources": {"gpus": 8, "accelerator": {"type": "L4"}}}}
    workers = [{"name": "small", "maxReplicas": 1, "accelerator": {"type": "L4", "count": 1}}]
    admin.create(API, PLURAL, document_of(wrong, name="rejected", namespace=live.NAMESPACE, workers=workers))


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def alert(name: str) -> str:
    (expression,) = [rule["expr"] for rule in boards.rules() if rule["alert"] == name]
    # The same over a shorter time: a test cannot wait for minutes.
    return str(expression).replace("[10m:1m]", "[20s:2s]").replace("[15m]", "[3m]").replace("offset 15m", "offset 3m")


def test_every_metric_that_we_ask_for_exists(found: Prometheus) -> None:
    asked = {
        metric
        for name, content in boards.boards().items()
        for query in boards.queries(name, content)
        for metric in metric_names(query.expression)
    }
    asked |= {metric for rule in boards.rules() for metric in metric_names(rule["expr"])}
    until(lambda: asked - found.names() <= NEEDS_A_GPU | {objectives.FIRST_TOKEN_OBJECTIVE}, 120)


@pytest.mark.parametrize("name", boards.boards())
def test_every_panel_shows_something(found: Prometheus, name: str) -> None:
    with contextlib.suppress(AssertionError):
        until(lambda: not _empty(found, name), 120)
    assert _empty(found, name) == set()


def _empty(found: Prometheus, name: str) -> set[str]:
    """The panels of a dashboard that show nothing, though they should."""
    content = boards.boards()[name]
    values = boards.chosen(content, found, CHOSEN)
    empty = set()
    for query in boards.queries(name, content):
        expression = boards.filled_in(query.expression, values, "60s", "60s")
        shown = found.query(expression)
        if not shown and query.title not in GPU_PANELS | YOUNG_PANELS and not metric_names(expression) & RECORDED:
            empty.add(query.title)
        assert all(value == value for _, value in shown) or "histogram_quantile" in expression, query.title
    return empty


def test_an_alert_is_silent_where_nothing_is_wrong(found: Prometheus) -> None:
    """Other apps fail by design, have too small a KV cache, or scale just now."""
    loud = {
        (rule["alert"], labels.get("app"))
        for rule in boards.rules()
        for labels, _ in found.query(alert(rule["alert"]))
        if labels.get("pipeline") == live.PIPELINE and labels.get("app") in (None, "hello-b", "chat", "batch")
    }
    assert loud == set()


def test_alerts_of_requests_fire_for_the_apps_that_fail(found: Prometheus) -> None:
    apps = {labels["app"] for labels, _ in found.query(alert("LLMPipelineErrorBudgetBurnFast"))}
    # Those with an objective of their own are left to it.
    assert apps == set()
    own = 'ALERTS{alertname="LLMPipelineErrorBudgetBurnFast"}'
    # On a machine that has too much to do, requests to models may fail too; those to a greeting do not.
    until(lambda: {labels["app"] for labels, _ in found.query(own)} >= {"flaky", "split", "analyze"}, 180)
    assert "hello-b" not in {labels["app"] for labels, _ in found.query(own)}
    until(lambda: {labels["app"] for labels, _ in found.query(alert("LLMPipelinePreemptions"))} == {"small"}, 180)
    slow = 'ALERTS{alertname="LLMPipelineLatencyHigh"}'
    until(lambda: "write" in {labels["app"] for labels, _ in found.query(slow)}, 60)


def test_alerts_of_conditions_fire_for_the_pipelines_that_have_them(found: Prometheus, admin: Admin) -> None:
    def firing(name: str) -> set[str]:
        return {labels["pipeline"] for labels, _ in found.query(alert(name))}

    until(lambda: firing("LLMPipelineRejected") == {"rejected"})
    assert firing("LLMPipelineNotAvailable") == set()
    kuberay.break_app(admin, live.NAMESPACE, "broken", "hello")
    until(lambda: firing("LLMPipelineNotAvailable") == {"broken"})
    until(lambda: firing("LLMPipelineNotReady") == {"broken"})


def test_what_a_difference_of_variants_says(found: Prometheus) -> None:
    """`new` fails every third time and `old` never: its interval lies above 0."""
    content = boards.boards()["ab-test"]
    values = boards.chosen(content, found, CHOSEN)

    def shown() -> dict[tuple[str, str], float]:
        return {
            (labels["variant"], query.legend.split()[-1]): value
            for query in boards.queries("ab-test", content)
            if query.panel == "Share of requests that fail"
            for labels, value in found.query(boards.filled_in(query.expression, values, "60s", "5m"))
        }

    # The more requests, the narrower the interval.
    until(lambda: shown()["new", "lowest"] > 0, 120)
    now = shown()
    assert now["new", "lowest"] < now["new", "difference"] < now["new", "highest"] < 1
    assert now["new", "difference"] == pytest.approx(1 / 3, abs=0.15)
    assert now["old", "difference"] == pytest.approx(0, abs=1e-9)
    assert now["old", "lowest"] < 0 < now["old", "highest"]


def test_tokens_add_up(found: Prometheus) -> None:
    """By app they are what the engines count, though each series of an engine knows its replica alone."""

    def added_up() -> bool:
        whole = sum(value for _, value in found.query("increase(ray_vllm_generation_tokens_total[60s])"))
        by_app = found.query(usage.tokens(Scope(), "60s"))
        out = sum(value for labels, value in by_app if labels["direction"] == "out")
        # Two queries are asked at two times.
        return {labels["app"] for labels, _ in by_app} == {"chat", "small", "write"} and 0.95 < out / whole < 1.05

    until(added_up, 60)


def test_replicas_that_die_and_replicas_that_are_missing(found: Prometheus, runner: Runner) -> None:
    restarting = alert("LLMPipelineReplicasRestarting")
    for _ in range(3):
        _kill_engine(runner)
        until(lambda: runner.applications()["write"]["status"] != "RUNNING", 90)
        until(lambda: runner.applications()["write"]["status"] == "RUNNING", 180)
    until(lambda: "write" in {labels["app"] for labels, _ in found.query(restarting)}, 60)
    assert "chat" not in {labels["app"] for labels, _ in found.query(restarting)}
    more = [{**app, "hello": {"replicas": 2, "resources": {"cpus": 64}}} if app["name"] == "hello-b" else app
            for app in live.apps()]  # fmt: skip
    runner.put(*rendered(*more))
    missing = alert("LLMPipelineReplicasMissing")
    until(lambda: "hello-b" in {labels["app"] for labels, _ in found.query(missing)}, 90)


def _kill_engine(runner: Runner) -> None:
    """Kill the process of vLLM's engine below a replica of the generate app."""
    for process in runner.left():
        with contextlib.suppress(psutil.Error):
            parent = process.parent()
            if "EngineCore" in process.name() and parent and "ServeReplica:write" in " ".join(parent.cmdline()):
                process.kill()
                return
    raise AssertionError("the generate app has no engine")


def test_the_operator_is_missed(found: Prometheus, operator: OperatorProcess) -> None:
    assert found.query(alert("LLMPipelineOperatorDown")) == []
    assert found.query(alert("LLMPipelineNoLeader")) == []
    operator.stop()
    until(lambda: found.query(alert("LLMPipelineOperatorDown")))
