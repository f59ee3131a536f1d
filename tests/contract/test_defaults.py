"""Every "Default ..." in the schema, against what happens: a field left out does what a field with the default does.

What is rendered is filled up with the defaults of those who read it: the arguments of the bundled apps, Ray Serve's
deployments and autoscaling, vLLM's engine, KubeRay's CRD.
"""

import copy
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from llmpipeline.api.crd import openapi_schema
from llmpipeline.api.defaults import ONGOING_REQUESTS
from llmpipeline.kuberay.normal_form import normal_form
from llmpipeline_serve.contract.catalog import APPS
from support.effects.edits import Document
from support.effects.rows import document, rows
from support.pipelines import HELLO, desired_of, model, openai, pipeline, plan_of

LITERAL = re.compile(r"Default ([^\s;:]+?)[.;:](?: |$)")
# Defaults that are no value: what they come to in the row of the field, or what else makes them true.
IN_WORDS: dict[str, Any] = {
    "routePrefix": "/app",
    "autoscaling.targetOngoingRequests": "half of maxOngoingRequests",
    "autoscaling.initialReplicas": "minReplicas",
    "autoscaling.downscaleToZeroDelaySeconds": "downscaleDelaySeconds",
    "workers.minReplicas": "maxReplicas",
    "graph.nodes.input": "request.text",
}
# And those that no manifest shows, with who fills them in.
ELSEWHERE = {
    "className": "tests/unit/test_classes.py",
    "ray.version": "tests/unit/test_classes.py",
    "ray.image": "tests/unit/test_classes.py",
    "ray.imagePullPolicy": "the kubelet",
    "ray.serviceAccountName": "the ServiceAccount admission plugin, and KubeRay for the head",
    "ray.modelCache": "the libraries that download models",
    "tolerations.effect": "Kubernetes: an empty effect matches all",
    "head.faultTolerance.redis.username": "Redis",
    "head.faultTolerance.rocksdb.storageClassName": "Kubernetes",
    "maxOngoingRequests": "test_ongoing_requests",
    "maxQueuedRequests": "tests/unit/test_plan_apps.py, tests/unit/test_plan_openai.py",
    "resources.accelerator": "any type: nothing is asked for",
    "hello.message": "the text is the default itself",
    "openai.models.placement": "tests/unit/test_plan.py",
    "engine.maxModelLength": "vLLM, from the model's own files",
    "openai.models.routing": "the word is one of its values",
    "graph.nodes.timeoutSeconds": "the graph's own limit ends the request",
    "graph.output": "tests/unit/test_graph_run.py",
    "graph.chat.answer": "tests/unit/test_plan_apps.py",
    "trafficSplit.variants.name": "tests/unit/test_sources.py",
    "workers": "tests/unit/test_plan.py",
    "workers.idleTimeoutSeconds": "Ray's autoscaler takes its own for a group without one",
    "workerDefaults.idleTimeoutSeconds": "Ray's autoscaler takes its own for a group without one",
    "models.resources.gpus": "a model's GPUs are those of its accelerator: the field is rejected",
    "prefill.resources.gpus": "a model's GPUs are those of its accelerator: the field is rejected",
    "generate.resources.gpus": "a model's GPUs are those of its accelerator: the field is rejected",
    "autoscaler.resources": "KubeRay",
    "autoscaler.upscaling": "the word is one of its values",
    "head.resources": "test_resources_of_pods",
    "workers.resources": "test_resources_of_pods",
    "upgrade": "KubeRay: NewCluster",
    "disruption": "golden files: all workers but one",
    "updateOrder": "tests/unit/test_surge.py",
    "network.policy": "no policy is made",
    "network.policy.serveFrom": "no peer is named",
    "network.policy.serveFrom.namespaceLabels": "Kubernetes: a peer without it",
    "network.policy.serveFrom.podLabels": "Kubernetes: a peer without it",
    "network.policy.egressTo.ports": "Kubernetes: a rule without it",
    "network.httpRoute.gateway.namespace": "the Gateway API",
    "network.httpRoute.gateway.sectionName": "the Gateway API",
    "network.httpRoute.hostnames": "the Gateway API",
    "network.ingress.className": "Kubernetes",
    "network.ingress.host": "Kubernetes",
    "scale": "nothing is scaled",
}
# KubeRay's own, which only its code has. Source: KubeRay 1.7.0, RayClusterDeletionDelayDuration in
# rayservice_controller.go, and GCSStorageDeletionPolicy in raycluster_types.go.
DELETION_DELAY_SECONDS, DELETION_POLICY = 60, "DeleteWithCluster"
# Ray's autoscaler: test_the_autoscalers_own_idle_timeout.
IDLE_TIMEOUT_SECONDS = 60


def described() -> Iterator[tuple[str, str]]:
    """Every field of the spec whose description speaks of a default, with the description."""

    def walk(node: dict[str, Any], at: str) -> Iterator[tuple[str, str]]:
        for name, field in node.get("items", node).get("properties", {}).items():
            if "Default" in (text := field.get("description", "")):
                yield f"{at}.{name}", text
            yield from walk(field, f"{at}.{name}")

    return walk(openapi_schema()["properties"]["spec"], "spec")


def in_words(field: str) -> str:
    """The entry of the two tables above that a field belongs to; the longest, for a name may be in many places."""
    names = [name for name in (*IN_WORDS, *ELSEWHERE) if field == f"spec.{name}" or field.endswith(f".{name}")]
    return max(names, key=len, default="")


LITERALS = [(field, found[1]) for field, text in described() if (found := LITERAL.search(text)) and not in_words(field)]


def test_every_default_is_a_value_or_explained() -> None:
    fields = dict(described())
    assert len(fields) > 200
    literal = {field for field, _ in LITERALS}
    assert {field: text for field, text in fields.items() if field not in literal and not in_words(field)} == {}
    used = {in_words(field) for field in fields}
    assert {name for name in (*IN_WORDS, *ELSEWHERE) if name not in used} == set()


def place(spec: Document, field: str) -> tuple[Document, str] | None:
    """The object of a spec that holds a field, in the first items of lists that have it, and the field's own name."""
    first, *rest = field.split(".")
    if not rest:
        return (spec, first) if first in spec else None
    inner = spec.get(first)
    for item in inner if isinstance(inner, list) else [inner]:
        if isinstance(item, dict) and (found := place(item, ".".join(rest))):
            return found
    return None


def with_and_without(field: str, value: Any) -> tuple[Document, Document]:
    """Specs with a field set to a value and without it, made of a row of the table of effects that sets it."""
    path = field.removeprefix("spec.")
    specs = (spec for row in rows() if row.field.startswith(field) for spec in (row.now, row.was))
    spec = next(spec for spec in specs if place(spec, path))
    given, left_out = copy.deepcopy(spec), copy.deepcopy(spec)
    holder, name = place(given, path) or ({}, "")
    holder[name] = value
    holder, name = place(left_out, path) or ({}, "")
    del holder[name]
    return given, left_out


@cache
def _ray() -> Any:
    import dataclasses

    from ray.serve._private.config import DeploymentConfig
    from ray.serve.config import AutoscalingConfig
    from vllm.engine.arg_utils import AsyncEngineArgs

    engine = {field.name: field.default for field in dataclasses.fields(AsyncEngineArgs)}
    return DeploymentConfig().model_dump(), AutoscalingConfig, engine


def effective(spec: Document) -> Document:
    """What a spec comes to, with all defaults filled in."""
    wanted = desired_of(document(spec))
    service = copy.deepcopy(wanted.service["spec"])
    service.pop("serveConfigV2")
    options = service["rayClusterConfig"].get("autoscalerOptions")
    if options is not None:
        options.setdefault("idleTimeoutSeconds", IDLE_TIMEOUT_SECONDS)
    service.setdefault("rayClusterDeletionDelaySeconds", DELETION_DELAY_SECONDS)
    storage = service["rayClusterConfig"].get("gcsFaultToleranceOptions", {}).get("storage")
    if storage is not None:
        storage.setdefault("deletionPolicy", DELETION_POLICY)
    return {
        "service": normal_form(service),
        "apps": [_app(application) for application in wanted.plan.applications],
        "companions": wanted.companions,
    }


def _app(application: Any) -> Document:
    deployment_defaults, autoscaling, engine_defaults = _ray()
    bundled = APPS.get(application.import_path)
    parsed = bundled.args.model_validate(application.args) if bundled else None
    deployments = []
    for item in application.deployments:
        filled = {**deployment_defaults, **item}
        if bundled and parsed and (settings := bundled.settings_of(parsed, item["name"])):
            filled["user_config"] = settings.model_validate(item["user_config"]).model_dump()
        if scaling := item.get("autoscaling_config"):
            known = autoscaling(**{name: value for name, value in scaling.items() if name != "policy"}).model_dump()
            known["upscaling_factor"] = known["upscaling_factor"] or 1
            known["downscaling_factor"] = known["downscaling_factor"] or 1
            known["initial_replicas"] = known["initial_replicas"] or known["min_replicas"]
            known["downscale_to_zero_delay_s"] = known["downscale_to_zero_delay_s"] or known["downscale_delay_s"]
            filled["autoscaling_config"] = known
        deployments.append(filled)
    args = parsed.model_dump() if parsed else copy.deepcopy(application.args)
    for engine in _engines(args):
        engine.setdefault("dtype", engine_defaults["dtype"])
    return {"route": application.route_prefix, "args": args, "deployments": deployments, "env": application.runtime_env}


def _engines(args: Any) -> Iterator[Document]:
    """The arguments of vLLM's engine, wherever they are."""
    if isinstance(args, dict):
        for name, value in args.items():
            if name in ("engine", "engine_kwargs") and isinstance(value, dict):
                yield value
            else:
                yield from _engines(value)
    elif isinstance(args, list | tuple):
        for item in args:
            yield from _engines(item)


def _value(text: str) -> Any:
    return yaml.safe_load(text.replace("/NAME", "/app"))


@pytest.mark.parametrize(("field", "default"), LITERALS, ids=[field for field, _ in LITERALS])
def test_a_field_left_out_has_its_default(field: str, default: str) -> None:
    # Durations and counts differ by kind of app: `Default 60; generate 600`.
    kinds = dict(re.findall(r"; (\w+) ([^\s.;]+)", dict(described())[field]))
    value = next((kinds[part] for part in field.split(".") if part in kinds), default)
    given, left_out = with_and_without(field, _value(value))
    assert effective(given) == effective(left_out)
    # And the test can fail: another value is another effect.
    another, _ = with_and_without(field, _other(given, field))
    assert effective(another) != effective(left_out)


def _other(spec: Document, field: str) -> Any:
    holder, name = place(spec, field.removeprefix("spec.")) or ({}, "")
    specs = [spec for row in rows() if row.field == field for spec in (row.was, row.now)]
    values = [found[0][found[1]] for spec in specs if (found := place(spec, field.removeprefix("spec.")))]
    return next(value for value in values if value != holder[name])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spec.apps.routePrefix", "/app"),
        ("spec.apps.hello.autoscaling.initialReplicas", 1),
        ("spec.apps.hello.autoscaling.downscaleToZeroDelaySeconds", 600),
        ("spec.apps.hello.autoscaling.targetOngoingRequests", ONGOING_REQUESTS.custom // 2),
        ("spec.workers.minReplicas", 4),
        ("spec.apps.graph.nodes.input", "request.text"),
    ],
)
def test_a_default_in_words(field: str, value: Any) -> None:
    given, left_out = with_and_without(field, value)
    assert effective(given) == effective(left_out)


def test_ongoing_requests() -> None:
    """All that the description of maxOngoingRequests says."""
    local = {"model": {"path": "/m"}}
    nodes = [
        {"name": "clean", "preprocess": {}},
        {"name": "call", "http": {"url": "http://a"}},
        {"name": "kind", "after": ["clean"], "classify": local},
        {"name": "reply", "after": ["clean"], "generate": {**local, "prompt": "x"}},
    ]
    document = pipeline(
        openai(model(), model("n")),
        {"name": "gen", "generate": local},
        {"name": "graph", "graph": {"nodes": nodes}},
        {"name": "batch", "batch": {"classify": local, "maxBatchSize": 32}},
        {"name": "split", "trafficSplit": {"variants": [{"name": "a", "app": "gen", "weight": 1}]}},
        {"name": "own", "custom": {"importPath": "a:b", "deployments": [{"name": "D"}]}},
        HELLO,
    )
    found = {
        f"{app.name} {item['name']}": item["max_ongoing_requests"]
        for app in plan_of(document).applications
        for item in app.deployments
    }
    assert found == {
        "chat LLMServer:m": 64, "chat LLMServer:n": 64, "chat OpenAiIngress": 256, "gen Generate": 64,
        "graph Graph": 256, "graph clean": 32, "graph call": 64, "graph kind": 16, "graph reply": 64,
        "batch Batch": 64, "split TrafficSplit": 1000, "own D": 5, "hello Hello": 5,
    }  # fmt: skip
    says = dict(described())["spec.apps.hello.maxOngoingRequests"]
    for words in ("64 for openai models and 256 for their ingress", "16 to 64 for its nodes", "1000 for trafficSplit"):
        assert words in says


def test_resources_of_pods() -> None:
    """All that the descriptions of head.resources and workers.resources say."""
    workers = [
        {"name": "cpu", "maxReplicas": 1},
        {"name": "gpu", "maxReplicas": 1, "accelerator": {"type": "L4", "count": 2}},
    ]
    cluster = desired_of(pipeline(workers=workers)).service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    requests = [group["template"]["spec"]["containers"][0]["resources"]["requests"] for group in groups]
    assert [(item["cpu"], item["memory"]) for item in requests] == [("2", "8Gi"), ("2", "4Gi"), ("8", "48Gi")]
    says = dict(described())
    assert "Default 2 CPUs and 8Gi" in says["spec.head.resources"]
    assert "Default 2 CPUs and 4Gi; with GPUs, 4 CPUs and 24Gi for each GPU" in says["spec.workers.resources"]


def test_the_autoscalers_own_idle_timeout() -> None:
    """What Ray's autoscaler makes of a RayCluster that names none."""
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    workers = [{"name": "cpu", "minReplicas": 1, "maxReplicas": 2}]
    cluster = desired_of(pipeline(workers=workers)).service["spec"]["rayClusterConfig"]
    assert "idleTimeoutSeconds" not in cluster["autoscalerOptions"]
    resource = {"metadata": {"name": "x", "namespace": "y"}, "spec": cluster}
    assert _derive_autoscaling_config_from_ray_cr(resource)["idle_timeout_minutes"] * 60 == IDLE_TIMEOUT_SECONDS
