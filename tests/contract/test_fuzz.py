"""Properties that hold for every document, checked on documents made at random.

LLMPIPELINE_FUZZ_EXAMPLES=10000 makes so many of each, other ones every time; left out, a few that are always the same.
"""

import copy
import json
import os
import typing
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmpipeline import desired, names
from llmpipeline.api.parse import parse
from llmpipeline.desired import Rejected
from llmpipeline.plan.capacity import fit
from llmpipeline.problems import Path
from llmpipeline.render.serve_config import serve_config
from llmpipeline_serve.contract.catalog import APPS
from support.kuberay import rules, schema
from support.kuberay.crds import kuberay_crds
from support.pipelines import desired_of, problems_of
from support.strategies.hostile import hostile_documents, nested
from support.strategies.specs import SCHEMA, Document, documents, sound_documents

EXAMPLES = os.environ.get("LLMPIPELINE_FUZZ_EXAMPLES")
fuzzed = settings(
    max_examples=int(EXAMPLES or 50),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def rendered(document: Document) -> str:
    """The manifests as bytes, and as the API server would read them: NaN, for one, is no JSON."""
    return json.dumps(desired_of(document).manifests, allow_nan=False)


def rayservice(document: Document) -> dict[str, Any]:
    return json.loads(json.dumps(desired_of(document).service, allow_nan=False))


def leads(path: Path, value: Any) -> bool:
    """Whether there is something at the path."""
    for part in path:
        if not isinstance(value, dict | list) or (part not in value if isinstance(value, dict) else part >= len(value)):
            return False
        value = value[part]
    return True


def check_any(document: Document) -> None:
    """It is planned and rendered, or said what is wrong with it, and where."""
    given = copy.deepcopy(document)
    found = problems_of(document)
    for problem in found:
        assert problem.message.strip(), problem
        assert str(problem)
        assert not problem.path or problem.path[0] in ("apiVersion", "kind", "metadata", "spec"), problem
        assert leads(problem.path[:-1], document), problem
    if not found:
        assert rendered(document) == rendered(document)
    assert repr(document) == repr(given), "the document was changed"


@fuzzed
@given(st.one_of(documents(), hostile_documents(), hostile_documents()))
def test_any_document_is_rendered_or_explained(document: Document) -> None:
    check_any(document)


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("depth", [150, 199, 250, 900, 100_000])
@pytest.mark.parametrize("field", ["args", "runtimeEnv", "podTemplate"])
def test_a_deep_document_is_rendered_or_explained(field: str, depth: int, kind: str) -> None:
    free = {"a": nested(kind, depth)}
    spec: Document = {
        "ray": {"version": "2.60.0", "image": "x"},
        "apps": [{"name": "a", "custom": {"importPath": "a:b"}}],
    }
    if field == "podTemplate":
        spec["head"] = {field: {"spec": free}}
    else:
        spec["apps"][0]["custom"][field] = free
    document = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "a"}, "spec": spec}
    found = desired.compile(document)
    if isinstance(found, Rejected):
        # Too deep for JSON, or there is a field to blame.
        assert found.problems[0].path or "JSON" in found.problems[0].message
    else:
        json.dumps(found.manifests)


@fuzzed
@given(documents())
def test_a_document_survives_its_dump(document: Document) -> None:
    """What was given, written out and read again, is the same pipeline and renders to the same bytes."""
    parsed = parse(document)
    if isinstance(parsed, list):
        return
    dumped = parsed.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert parse(dumped) == parsed
    if not problems_of(document):  # what cannot work is never rendered
        assert rendered(dumped) == rendered(document)


@fuzzed
@given(documents())
def test_what_the_api_server_stores_renders_alike(document: Document) -> None:
    """`render` shows what the operator would apply, which sees the document with the CRD's defaults and no nulls."""
    if problems_of(document):
        return
    stored = {**document, "spec": _stored(document["spec"], SCHEMA)}
    assert rendered(stored) == rendered(document)


def _stored(value: Any, schema: Document) -> Any:
    """As the API server has it: nulls of fields that it knows are dropped, defaults filled in."""
    if isinstance(value, list):
        return [_stored(item, schema["items"]) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    fields = schema["properties"]
    whole = {name: below["default"] for name, below in fields.items() if "default" in below}
    whole |= {name: item for name, item in value.items() if item is not None}
    return {name: _stored(item, fields[name]) for name, item in whole.items()}


@fuzzed
@given(sound_documents())
def test_kuberays_rules_hold_for_what_is_sound(document: Document) -> None:
    assert list(rules.rejections(rayservice(document))) == []


needs_kuberays_crd = pytest.mark.skipif(
    not kuberay_crds().own, reason="the stand-in for KubeRay's CRD accepts any spec: set KUBERAY_CRDS"
)


@needs_kuberays_crd
@fuzzed
@given(sound_documents())
def test_kuberays_crd_takes_what_is_sound(document: Document) -> None:
    assert schema.faults(rayservice(document)) == []


@needs_kuberays_crd
@fuzzed
@given(sound_documents(pod_templates=True))
def test_an_overlay_never_breaks_kuberays_rules(document: Document) -> None:
    """What is wrong with a podTemplate the API server may say, by KubeRay's schema; KubeRay itself has no more."""
    service = rayservice(document)
    if not schema.faults(service):
        assert list(rules.rejections(service)) == []


def _objects(value: Any) -> typing.Iterator[Document]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _objects(item)


@cache
def _serve() -> tuple[Any, Any]:
    from ray.serve.llm import LLMConfig
    from ray.serve.schema import ServeDeploySchema

    return ServeDeploySchema, LLMConfig


@fuzzed
@given(sound_documents())
def test_ray_takes_what_is_sound(document: Document) -> None:
    serve_schema, llm_config = _serve()
    config = json.loads(json.dumps(serve_config(desired_of(document).plan)))
    for part in _objects(config):
        if "policy_function" in part:  # Ray imports it when it reads the config
            part["policy_function"] = "builtins:len"
    parsed = serve_schema.model_validate(copy.deepcopy(config)).model_dump(exclude_unset=True)
    assert json.loads(json.dumps(parsed, default=str)) == config
    for app in config["applications"]:
        args = app["args"]
        if app["import_path"].startswith("ray.serve.llm:"):
            parts = [args.get("prefill_config"), args.get("decode_config"), *args.get("llm_configs", ())]
            for part in filter(None, parts):
                llm_config.model_validate(copy.deepcopy(part))
        elif known := APPS.get(app["import_path"]):
            parsed = known.args.model_validate(args)
            for deployment in app.get("deployments", ()):
                if settings := known.settings_of(parsed, deployment["name"]):
                    settings.model_validate(deployment["user_config"])


def _resources(group: Document) -> Document:
    container = group["template"]["spec"]["containers"][0]
    limits: Document = container["resources"]["limits"]
    return limits


@fuzzed
@given(sound_documents())
def test_the_numbers_agree(document: Document) -> None:
    wanted = desired_of(document)
    plan = wanted.plan
    cluster = rayservice(document)["spec"]["rayClusterConfig"]
    gpus = [0, 0]
    for group in cluster["workerGroupSpecs"]:
        bounds = group["minReplicas"], group["maxReplicas"]
        assert 0 <= bounds[0] <= group["replicas"] <= bounds[1], group["groupName"]
        each = sum(int(count) for resource, count in _resources(group).items() if resource != "memory")
        for index, bound in enumerate(bounds):
            gpus[index] += each * group["numOfHosts"] * bound
    assert plan.gpus.maximum == gpus[1]
    assert gpus[0] <= plan.gpus.minimum <= gpus[1]
    assert gpus[0] == sum(group.gpus * group.hosts * group.replicas.minimum for group in plan.groups)
    if not wanted.pipeline.spec.workers:
        assert fit.misfits(plan.demands, plan.groups, plan.head) == []


@fuzzed
@given(sound_documents())
def test_names_routes_and_replicas_are_sound(document: Document) -> None:
    plan = desired_of(document).plan
    groups = [group.name for group in plan.groups]
    assert len(set(groups)) == len(groups)
    for name in groups:
        assert len(name) <= 63
        assert rules.DNS_1123.fullmatch(name), name
    routes = [app.route_prefix for app in plan.applications]
    assert len(set(routes)) == len(routes)
    for outer in routes:
        assert outer == "/" or not any(route.startswith(f"{outer}/") for route in routes)
    for demand in plan.demands:
        assert 0 <= demand.replicas.minimum <= demand.replicas.maximum > 0
    for part in _objects(serve_config(plan)):
        if scaling := part.get("autoscaling_config"):
            first = scaling.get("initial_replicas", scaling["min_replicas"])
            assert 0 <= scaling["min_replicas"] <= first <= scaling["max_replicas"]
